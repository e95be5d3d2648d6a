"""The coordinator's page: a read-only look at a run's registry, behind a password."""
