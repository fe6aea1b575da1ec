"""The sync protocol over HTTP and WebSocket: decode, one call, encode."""
