"""Alembic's entry: runs the steps on the connection that `upgrade` opened."""

from __future__ import annotations

from alembic import context

from storage.migrations import context_options
from storage.tables import metadata

context.configure(target_metadata=metadata, **context_options(context.config.attributes["connection"]))
with context.begin_transaction():
    context.run_migrations()
