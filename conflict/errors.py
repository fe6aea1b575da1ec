"""The kernel's errors.

    KernelError
    ├── BadHlc              bad_hlc            a stamp that is no HLC, or a clock that has no next stamp
    ├── UnknownField        unknown_field      a change writes a field that the rules do not declare
    ├── BadText             bad_text           a Yjs update that does not apply
    ├── NulInText           wrong_type         a Yjs update that inserts U+0000
    ├── TooLong             too_long           a Yjs update over its size cap
    ├── RecordFull          record_full        a text whose merged state would pass its size cap
    └── BrokenInvariant     broken_invariant   a state that no history of changes leads to

Each carries a stable `code`; what a device's change can cause bears the code with which the protocol rejects
that change. Repeating the call changes nothing: none of them is a matter of time.
"""

from __future__ import annotations


class KernelError(Exception):
    """Base of everything the kernel raises on purpose; anything else that leaves it is a bug."""

    code = "kernel_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadHlc(KernelError):
    """A text that is not 16 lowercase hex digits, or a time or counter that does not fit into them."""

    code = "bad_hlc"


class UnknownField(KernelError):
    """A change writes a field its collection does not declare; validate changes before they are applied."""

    code = "unknown_field"

    def __init__(self, field: str) -> None:
        super().__init__(f"The field {field!r} is not declared for this collection; reject the change.")
        self.field = field


class BadText(KernelError):
    """Bytes that are no Yjs update, or one that cannot be merged; reject the change that brought them."""

    code = "bad_text"


class NulInText(KernelError):
    """A Yjs update inserts U+0000, which no text may hold; reject the change that brought it."""

    code = "wrong_type"


class TooLong(KernelError):
    """One Yjs update is over its cap; reject the change that brought it."""

    code = "too_long"


class RecordFull(KernelError):
    """A text's merged state would pass its cap; reject the change that would make it so."""

    code = "record_full"


class BrokenInvariant(KernelError):
    """A state contradicts itself: it was made by hand, damaged in storage, or the kernel has a bug."""

    code = "broken_invariant"

    def __init__(self, violations: list[str]) -> None:
        super().__init__(f"The record's state is broken: {'; '.join(violations)}. Rebuild it from its history.")
        self.violations = violations
