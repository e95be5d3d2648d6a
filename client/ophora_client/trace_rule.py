"""Where a site's traces may go: this machine, or a collector that the site itself has named.

A span tells how long a step takes, which hints at how many patients were drawn: it is the site's
own. So the environment alone can't send it anywhere: an address that is not loopback has to be
named in `[traces] allowed_hosts` of site.toml, and any other stops what was to be started.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ophora_client.errors import SiteInvalid

_REMEDY = (
    "use an address of this machine (127.0.0.1, ::1), name the host in allowed_hosts of [traces]"
    " in site.toml, or set OPHORA_OTEL=0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracesTable:
    """`[traces]`: collectors beyond this machine that the site's spans may go to; none by default.

    A name in it is resolved by whatever name server the machine asks.
    """

    allowed_hosts: tuple[str, ...] = ()


def trace_rule(folder: Path) -> Callable[[str], str]:
    """What holds a collector's address against site.toml, for `start_traces`."""

    def check(address: str) -> str:
        from ophora_client.site import Site

        return check_collector(address, Site.open(folder).settings.traces)

    return check


def check_collector(address: str, table: TracesTable) -> str:
    """The address to connect to. Raises SiteInvalid, which quotes the host alone."""
    try:
        url = urlsplit(address)
        host, port = (url.hostname or "").lower(), url.port
    except ValueError:
        raise SiteInvalid(f"traces: not an address; {_REMEDY}") from None
    if not host or url.username or url.password or url.query or url.fragment:
        raise SiteInvalid("traces: must be a plain address without user, query or fragment")
    if host in {allowed.lower() for allowed in table.allowed_hosts}:
        return address
    if host == "localhost":  # not left to a name server
        return url._replace(netloc="127.0.0.1" + (f":{port}" if port else "")).geturl()
    if not _is_loopback(host):
        raise SiteInvalid(f'traces: host "{host}" is not this machine; {_REMEDY}')
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
