"""Who may talk to a page of the site: a browser on this machine that was given the printed link.

The link's token works once and becomes a session cookie. `Host` must be this very address (a
foreign name that resolves to loopback is refused), a POST must come from the page itself, and
nothing is cached or loaded from elsewhere.
"""

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class Pass:
    """The one-time token and the session that it is exchanged for."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._is_used = False

    def exchange(self, token: str) -> str | None:
        """The session for a token that is right and was not used before, else None."""
        is_right = hmac.compare_digest(token.encode(), self.token.encode())
        if self._is_used or not is_right:
            return None
        self._is_used = True
        return self._session

    def admits(self, session: str) -> bool:
        """Whether this is the session that the token was exchanged for."""
        is_right = hmac.compare_digest(session.encode(), self._session.encode())
        return self._is_used and is_right


class OnlyLocal:
    """Wraps the page's application; lets through what has the session and comes from here."""

    def __init__(self, app: ASGIApp, *, port: int, door: Pass) -> None:
        self._app = app
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._cookie = f"ophora-site-{port}"  # cookies know no ports
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = self._answer(scope)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """A refusal or the session; None lets the request through."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse("this page answers on 127.0.0.1 only", 421)
        if scope["method"] not in _SAFE_METHODS and headers.get("origin") != f"http://{host}":
            return PlainTextResponse("not asked by this page", 403)
        token = QueryParams(scope["query_string"]).get("token")
        if token is not None and scope["method"] == "GET":
            return self._enter(token)
        if not self._door.admits(self._session_of(headers)):
            return PlainTextResponse("open the link that the command printed", 403)
        return None

    def _enter(self, token: str) -> Response:
        session = self._door.exchange(token)
        if session is None:
            return PlainTextResponse(
                "this link was used or is wrong: end the command and run it again for a new one",
                403,
            )
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(self._cookie, session, httponly=True, samesite="strict", path="/")
        return response

    def _session_of(self, headers: Headers) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        found = cookies.get(self._cookie)
        return found.value if found else ""
