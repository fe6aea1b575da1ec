"""Backups: everything that is stored, in one file that any FitAI of the same or a later version can put back.

    files       a file that appears whole or not at all
    rows        a table's rows as lines of JSON, exactly and alike from both databases
    archive     the file of a backup: what it says of itself, and its checksum
    saving      from a database into a file, beside a running server
    erasures    who was erased since, which a restore takes out again
    restoring   from a file into an empty place, as a whole or not at all

Rows are kept table by table in a form that belongs to neither database, so a backup of SQLite can be put into Postgres
and the other way round.
"""
