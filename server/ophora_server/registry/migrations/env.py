"""What alembic runs; the connection, and the transaction around all of it, come from `schema`."""

from alembic import context

from ophora_server.registry.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,  # on SQLite as well, whose transaction `schema` began
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
