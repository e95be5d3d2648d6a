"""The review page's application: its routes, and what they say when something is refused."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from ophora_client.review.desk import DecisionRefused, ReviewDesk, UnknownClip
from ophora_client.review.page import page_router
from ophora_curation.store.records import Tier

_LOG = logging.getLogger("ophora.curation.review")


def make_app(desk: ReviewDesk, *, tier: Tier, code: str, reviewer: str) -> FastAPI:
    """The application; `loopback` guards it."""
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

    return app
