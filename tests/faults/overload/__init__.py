"""More than a server can do, asked of a real one: `python -m tests.faults.overload [--only NAME] [--json]`."""
