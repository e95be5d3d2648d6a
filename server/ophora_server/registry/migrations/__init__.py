"""The registry's migrations, run by `ophora_server.registry.schema`."""
