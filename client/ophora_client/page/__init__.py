"""The site's own page for its IT and its privacy officer: read-only, on this machine only."""
