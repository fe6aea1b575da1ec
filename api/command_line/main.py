"""The entry point of `fitai`.

Owns: what Ctrl+C does before anything else is imported, and until a command takes it over (running.py): the process
ends at once with 130. Nothing raises KeyboardInterrupt at whatever line happens to run, so nothing prints a traceback.
Refuses to know: the commands (commands.py), which is why it imports them late.
"""

import gc
import os
import signal
import sys

INTERRUPTED = 130


def leave(*_: object) -> None:
    """End the process now, without a word and without clearing up: nothing is open yet, or no longer."""
    os._exit(INTERRUPTED)


def main() -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGINT, leave)
    # Importing makes a hundred thousand objects that stay: the collector need not look at them (commands.py goes on).
    gc.disable()
    from api.command_line.commands import call

    sys.exit(call())


if __name__ == "__main__":
    main()
