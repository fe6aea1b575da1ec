"""Real servers for tests, demonstrations and measurements: started here, on loopback, ended with their owner."""
