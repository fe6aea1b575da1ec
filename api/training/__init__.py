"""Training over REST: everything a web page needs that a device holds by itself."""
