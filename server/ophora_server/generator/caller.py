"""Who may call: programs and pages of this machine, not web pages that were loaded from elsewhere.

A browser lets any page send requests to a loopback port. Two headers that a page can't forge tell:
`Host` (a name that was rebound to loopback is not loopback's own) and `Origin`.
"""

import ipaddress
from urllib.parse import urlsplit

from fastapi import Request

from ophora_server.errors import ForeignCaller


async def check_caller(request: Request) -> None:
    """Raise ForeignCaller unless host and origin, where one is stated, are loopback."""
    stated = {"host": f"//{request.headers.get('host', '')}"}
    if "origin" in request.headers:
        stated["origin"] = request.headers["origin"]
    for name, address in stated.items():
        if not is_loopback(_host_of(address)):
            raise ForeignCaller(f"{name}: must be a loopback address; a proxy has to set it so")


def is_loopback(host: str | None) -> bool:
    """True for localhost and for loopback IP addresses."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
