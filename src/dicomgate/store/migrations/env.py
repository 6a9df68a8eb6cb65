"""What alembic runs for an upgrade: the caller's connection comes in, inside the caller's transaction."""

from alembic import context

from dicomgate.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
