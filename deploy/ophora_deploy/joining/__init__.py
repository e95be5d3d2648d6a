"""How a hospital joins: an invitation, a request with keys made there, an approval by phone."""
