"""The only door from outside: a TLS front that forwards the sites' calls and nothing else.

Flower's control, runtime and fleet calls share one port, and the open-source control calls have no
user authentication: whoever reaches them can run code at every site. So the SuperLink listens on
loopback and this front forwards `/v1/fleet/*` and `/health` to it. Data path: site -> TLS -> front
-> TLS on loopback -> SuperLink.
"""

from __future__ import annotations

import argparse
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

# The raw path, before any decoding: no percent escape, no dot segment can hide another route.
_ALLOWED = re.compile(rb"/health|/v1/fleet/[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_MAX_BODY_BYTES = 64 * 2**20  # Flower splits arrays into 5 MB objects
_TIMEOUT_S = 300.0
_HOP_BY_HOP = {
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


def make_front(upstream: str, authority: Path, *, record: Path | None = None) -> Starlette:
    """The front before the SuperLink at `upstream` (an https URL whose CA is `authority`).

    With `record`, each forwarded request body is appended to that file as it came: an audit of
    what the sites sent. Anything but the sites' calls gets 403, an oversize body 413.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _open_upstream(upstream, authority) as client:
            app.state.client = client
            yield

    async def forward(request: Request) -> Response:
        raw_path: bytes = request.scope["raw_path"].split(b"?")[0]
        if not _ALLOWED.fullmatch(raw_path):
            return PlainTextResponse("only the sites' calls are forwarded\n", status_code=403)
        body = await _read_body(request)
        if body is None:
            return PlainTextResponse("body too large\n", status_code=413)
        if record is not None:
            _append(record, body)
        return await _relay(request, raw_path.decode("ascii"), body)

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[Route("/{path:path}", forward, methods=methods)],
        lifespan=lifespan,
    )


def _open_upstream(upstream: str, authority: Path) -> httpx.AsyncClient:
    trusted = ssl.create_default_context(cafile=str(authority))
    return httpx.AsyncClient(base_url=upstream, verify=trusted, timeout=_TIMEOUT_S, trust_env=False)


async def _read_body(request: Request) -> bytes | None:
    """The body, or None as soon as it passes the bound."""
    parts: list[bytes] = []
    total = 0
    async for part in request.stream():
        total += len(part)
        if total > _MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


async def _relay(request: Request, path: str, body: bytes) -> Response:
    client: httpx.AsyncClient = request.app.state.client
    headers = [(k, v) for k, v in request.headers.items() if k not in _HOP_BY_HOP]
    try:
        answer = await client.request(
            request.method, path, params=request.query_params, headers=headers, content=body
        )
    except httpx.TransportError:
        return PlainTextResponse("the coordinator doesn't answer\n", status_code=502)
    kept = {
        k: v
        for k, v in answer.headers.items()
        if k not in _HOP_BY_HOP and k != "content-encoding"  # httpx has decoded it
    }
    return Response(answer.content, status_code=answer.status_code, headers=kept)


def _append(record: Path, body: bytes) -> None:
    with record.open("ab") as file:
        file.write(body)


def main() -> None:
    """Run the front until SIGTERM."""
    import uvicorn

    parser = argparse.ArgumentParser(description="Forward the sites' calls to the SuperLink.")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="https address of the SuperLink")
    for name in ("--authority", "--certificate", "--key"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--record", type=Path, help="append what sites send to this file")
    given = parser.parse_args()
    uvicorn.run(
        make_front(given.upstream, given.authority, record=given.record),
        host=given.host,
        port=given.port,
        ssl_certfile=str(given.certificate),
        ssl_keyfile=str(given.key),
        log_level="warning",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
