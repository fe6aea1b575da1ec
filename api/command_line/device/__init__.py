"""The terminal as a device: a training log of its own on the SDK, usable without a network.

Owns: the list of its commands, as data: nothing here is imported before a command is called.
"""

from __future__ import annotations

from typing import Final

_HERE: Final = "api.command_line.device"

# name → (module, attribute, what `fitai --help` says)
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "log": (f"{_HERE}.log", "log", "Log sets."),
    "today": (f"{_HERE}.views", "today", "Show today's training."),
    "history": (f"{_HERE}.views", "history", "Look back, at everything or at one exercise."),
    "records": (f"{_HERE}.records", "records", "Show personal records."),
    "start": (f"{_HERE}.session", "start", "Begin a live session."),
    "rest": (f"{_HERE}.session", "rest", "Rest, counted down on every device."),
    "done": (f"{_HERE}.session", "done", "End the live session."),
    "watch": (f"{_HERE}.watch", "watch", "Follow another device, live."),
    "import": (f"{_HERE}.bring", "bring", "Import the export of another app."),
    "export": (f"{_HERE}.export", "export", "Write everything to a file."),
    "edit": (f"{_HERE}.amend", "edit", "Put right what was logged."),
    "delete": (f"{_HERE}.amend", "delete", "Take a set or a workout out of the log."),
    "undo": (f"{_HERE}.undo", "undo", "Take back the last command."),
    "status": (f"{_HERE}.syncing", "status", "Show what waits, and why."),
    "sync": (f"{_HERE}.syncing", "sync", "Send and fetch everything now."),
    "conflicts": (f"{_HERE}.conflicts", "conflicts", "See and settle what two devices wrote at once."),
    "inbox": (f"{_HERE}.inbox", "inbox", "See and mend what the server refused."),
    "sign-up": (f"{_HERE}.account", "sign_up", "Make an account."),
    "sign-in": (f"{_HERE}.account", "sign_in", "Sign in."),
    "sign-out": (f"{_HERE}.account", "sign_out", "Sign out; the data stays."),
    "rescue": (f"{_HERE}.rescue", "rescue", "Save what is left of a damaged device."),
    "completion": (f"{_HERE}.completion", "completion", "Complete commands and exercises with Tab."),
}
