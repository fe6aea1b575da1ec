"""What a training log adds up to: pure functions of the records that are shown, exact, and the same however they came.

Nothing here reads a clock, a file or a database, and nothing of the house is imported: bytes, days and ids are
arguments.
"""
