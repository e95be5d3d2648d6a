"""A page's process: loopback only, one token, one session, until Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from ophora_client.loopback.access import OnlyLocal, Pass

_HOST = "127.0.0.1"


def serve(app: ASGIApp, *, port: int, announce: Callable[[str], None]) -> None:
    """Serve behind `OnlyLocal` until Ctrl-C; port 0 takes a free one.

    `announce` is given the link with its token, once the port is open. Raises `OSError` for a port
    that is taken.
    """
    with contextlib.closing(listen(port)) as listener:
        port = int(listener.getsockname()[1])
        door = Pass()
        # no access log: its lines would hold the token
        config = uvicorn.Config(
            OnlyLocal(app, port=port, door=door),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
        )
        announce(f"http://{_HOST}:{port}/?token={door.token}")
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def listen(port: int) -> socket.socket:
    """A listening socket on loopback. Raises `OSError`."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen()  # a browser that is faster than the server waits
    except OSError:
        listener.close()
        raise
    return listener
