"""Fuzzers of everything that reads what a stranger sent: `python -m tests.security.fuzz --cases 100000 --seed 7`."""
