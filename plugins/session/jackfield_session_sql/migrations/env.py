"""What Alembic runs to bring tables to a version; it is given an open connection in a transaction."""

from __future__ import annotations

from alembic import context

from jackfield_session_sql.schema import VERSION_TABLE
from jackfield_session_sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
