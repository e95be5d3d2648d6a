"""What can go wrong with the coordinator's page, shaped by what the caller can do next.

ServerError
  PageRefused   the page can't start as asked: set a password, name a certificate, another port
"""

from ophora_server.errors import ServerError


class PageRefused(ServerError):
    """The page's password, address, certificate or port is not as it must be."""
