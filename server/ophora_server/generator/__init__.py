"""The generator host: an HTTP API over a durable queue and one worker process per pipeline."""
