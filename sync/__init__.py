"""The write path, the change feed and the live socket of one server process."""
