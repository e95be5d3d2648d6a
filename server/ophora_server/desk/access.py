"""Who may talk to the page: a browser that calls it by its own name and has a session.

`Host` must be a name of this server (a foreign one that resolves here is refused), a POST must come
from the page itself, all but the login needs a session, and nothing is cached or loaded from
elsewhere. No GET changes anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ophora_server.desk.sessions import Sessions

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not no-referrer: with it a browser states the origin of a form as "null"
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What the page is called: its names as a browser may write them, port and scheme.

    A name may be `*.example.org`, as certificates have it; that stands for one label.
    """

    names: Collection[str]
    port: int
    is_tls: bool

    @property
    def scheme(self) -> str:
        return "https" if self.is_tls else "http"

    def is_own(self, host: str) -> bool:
        """Whether this `Host` header names the page."""
        name, mark, port = host.lower().rpartition(":")
        if not mark or host.endswith("]"):
            name, port = host.lower(), str(_DEFAULT_PORTS[self.scheme])
        label, _, parent = name.partition(".")
        return port == str(self.port) and (
            name in self.names or (bool(label) and f"*.{parent}" in self.names)
        )


class Guard:
    """Wraps the page's application; lets through what may be answered."""

    def __init__(self, app: ASGIApp, *, address: Address, sessions: Sessions) -> None:
        self._app, self._address, self._sessions = app, address, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host, path = headers.get("host", ""), scope["path"]
        if not self._address.is_own(host):
            return PlainTextResponse("this page doesn't answer to that name", 421)
        own = f"{self._address.scheme}://{host}"
        if scope["method"] not in _SAFE_METHODS and headers.get("origin") != own:
            return PlainTextResponse("not asked by this page", 403)
        if path == "/login" or path.startswith("/static/"):
            return None
        if self._sessions.admits(session_of(headers, self._address.port)):
            return None
        if path == "/" and scope["method"] in _SAFE_METHODS:
            return RedirectResponse("/login", status_code=303)
        return PlainTextResponse("log in first", 401)


def cookie_name(port: int) -> str:
    """Cookies know no ports; two pages on one machine must not take each other's."""
    return f"ophora-page-{port}"


def session_of(headers: Headers, port: int) -> str:
    """The token that a request carries, or an empty text."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    found = cookies.get(cookie_name(port))
    return found.value if found else ""
