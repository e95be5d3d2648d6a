"""The review page's server: loopback only, one token, one session, until Ctrl-C."""

import contextlib
import logging
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from ophora_client.review.access import OnlyLocal, Pass
from ophora_client.review.desk import DecisionRefused, ReviewDesk, UnknownClip
from ophora_client.review.page import page_router
from ophora_curation.store.records import Tier

_HOST = "127.0.0.1"
_LOG = logging.getLogger("ophora.curation.review")


def make_app(
    desk: ReviewDesk, *, door: Pass, port: int, tier: Tier, code: str, reviewer: str
) -> ASGIApp:
    """The application behind its guard."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(page_router(desk, tier=tier, code=code, reviewer=reviewer))

    @app.exception_handler(UnknownClip)
    def unknown(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"message": str(error)}, 404)

    @app.exception_handler(DecisionRefused)
    def refused(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"message": str(error)}, 409)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"message": "the request is not one that the page makes"}, 422)

    @app.exception_handler(ValueError)
    def not_closed_words(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"message": str(error)}, 422)

    @app.exception_handler(OSError)
    def disk(_: Request, error: Exception) -> JSONResponse:
        _LOG.error("decision not kept: %s", type(error).__name__)
        return JSONResponse({"message": "the site's disk refused: nothing was decided"}, 507)

    return OnlyLocal(app, port=port, door=door)


def serve(
    desk: ReviewDesk,
    *,
    port: int,
    tier: Tier,
    code: str,
    reviewer: str,
    announce: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C. `announce` is given the link with its token, once the port is open.

    Raises `OSError` for a port that is taken.
    """
    with contextlib.closing(_listen(port)) as listener:
        port = int(listener.getsockname()[1])
        door = Pass()
        app = make_app(desk, door=door, port=port, tier=tier, code=code, reviewer=reviewer)
        # no access log: its lines would hold the token
        config = uvicorn.Config(
            app,
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


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen()  # a browser that is faster than the server waits
    except OSError:
        listener.close()
        raise
    return listener
