"""The HTTP API: the OpenAI videos API over the queue, so existing SDKs work, and the page.

POST /v1/videos -> queue -> (worker) -> GET /v1/videos/{id} -> GET /v1/videos/{id}/content.
There is no sign-in: the host listens on loopback, or behind a proxy that has one. Every error is an
error object in the API's shape. A prompt is in no log and no error.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from python_multipart.exceptions import FormParserError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from ophora_server.errors import (
    ForeignCaller,
    InvalidRequest,
    QueueFull,
    ServerError,
    UnknownVideo,
    VideoNotReady,
)
from ophora_server.generator.caller import check_caller
from ophora_server.generator.job import Job, Status
from ophora_server.generator.order import Offer, read_order
from ophora_server.generator.page import page_router
from ophora_server.generator.queue import JobQueue
from ophora_server.generator.store import VideoStore
from ophora_server.generator.wire import error_response, list_object, video_object

MAX_BODY_BYTES = 64 * 1024
STOP_WAIT_S = 5.0
POLL_AFTER_MS = "1000"  # read by the SDK's create_and_poll

_STATUS: tuple[tuple[type[ServerError], HTTPStatus, str], ...] = (
    (InvalidRequest, HTTPStatus.BAD_REQUEST, "invalid_value"),
    (UnknownVideo, HTTPStatus.NOT_FOUND, "video_not_found"),
    (VideoNotReady, HTTPStatus.NOT_FOUND, "video_not_ready"),
    (ForeignCaller, HTTPStatus.FORBIDDEN, "foreign_caller"),
    (QueueFull, HTTPStatus.TOO_MANY_REQUESTS, "queue_full"),
)


def build_api(
    queue: JobQueue, store: VideoStore, offer: Offer, worker_state: Callable[[], str]
) -> FastAPI:
    """Return the application. `worker_state` says in a word how the worker is, for /health."""
    app = FastAPI(
        title="Ophora generator host",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(check_caller)],
    )
    _add_error_handlers(app)
    _add_orders(app, queue, store, offer)
    _add_files(app, queue, store)
    app.include_router(page_router(offer))
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok", "worker": worker_state()}

    @app.get("/v1/models")
    def models() -> dict[str, object]:
        model = {"id": offer.model, "object": "model", "created": 0, "owned_by": "ophora"}
        return {"object": "list", "data": [model]}

    return app


def _add_orders(app: FastAPI, queue: JobQueue, store: VideoStore, offer: Offer) -> None:
    @app.post("/v1/videos")
    async def create(request: Request) -> JSONResponse:
        order = read_order(await _read_fields(request), offer)
        job = await run_in_threadpool(queue.add, order)
        return _video_response(job)

    @app.get("/v1/videos")
    def list_videos(
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> dict[str, object]:
        return list_object(queue.page(limit=limit, order=order, after=after))

    @app.get("/v1/videos/{video_id}")
    def retrieve(video_id: str) -> JSONResponse:
        return _video_response(queue.get(video_id))

    @app.delete("/v1/videos/{video_id}")
    async def delete(video_id: str) -> dict[str, object]:
        await run_in_threadpool(queue.delete, video_id)
        give_up_at = time.monotonic() + STOP_WAIT_S
        while queue.is_running(video_id) and time.monotonic() < give_up_at:
            await asyncio.sleep(0.05)
        await run_in_threadpool(store.delete, video_id)
        return {"id": video_id, "object": "video.deleted", "deleted": True}


def _add_files(app: FastAPI, queue: JobQueue, store: VideoStore) -> None:
    @app.get("/v1/videos/{video_id}/content")
    def content(video_id: str, variant: str = "video") -> Response:
        if variant != "video":
            raise InvalidRequest("variant", f"variant={variant[:40]!r}: not made; allowed: video")
        path = store.video(_finished(queue, video_id).video_id)
        return FileResponse(
            path, media_type="video/mp4", filename=path.name, content_disposition_type="inline"
        )

    @app.get("/v1/videos/{video_id}/provenance")
    def provenance(video_id: str) -> Response:
        path = store.provenance(_finished(queue, video_id).video_id)
        return FileResponse(path, media_type="application/json")


def _finished(queue: JobQueue, video_id: str) -> Job:
    job = queue.get(video_id)
    match job.status:
        case Status.COMPLETED:
            return job
        case Status.FAILED:
            raise VideoNotReady("video failed: it has no content; its `error` says why")
        case _:
            raise VideoNotReady(f"video is {job.status} ({job.progress} %): ask again later")


def _video_response(job: Job) -> JSONResponse:
    return JSONResponse(video_object(job), headers={"openai-poll-after-ms": POLL_AFTER_MS})


async def _read_fields(request: Request) -> Mapping[str, object]:
    """Return the fields of a JSON or form body, bounded before it is read; or InvalidRequest."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        raise InvalidRequest("body", f"body: must state its length, at most {MAX_BODY_BYTES} bytes")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            fields = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("body", "body: is not JSON") from error
        if not isinstance(fields, dict):
            raise InvalidRequest("body", "body: must be a JSON object")
        return fields
    if kind in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        return await _read_form(request)
    raise InvalidRequest(
        "body", f"content-type={kind[:40]!r}: send application/json or multipart/form-data"
    )


async def _read_form(request: Request) -> Mapping[str, object]:
    try:
        async with request.form(max_files=1, max_fields=20) as form:
            fields: dict[str, object] = {}
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    raise InvalidRequest(name, f"{name}: files are not taken; send text only")
                if name in fields:
                    raise InvalidRequest(name, f"{name}: given twice; give it once")
                fields[name] = value
            return fields
    except (HTTPException, FormParserError) as error:
        raise InvalidRequest("body", "body: is not a form") from error


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ServerError)
    async def own_error(_request: Request, error: ServerError) -> JSONResponse:
        param = error.param if isinstance(error, InvalidRequest) else None
        for kind, status, code in _STATUS:
            if isinstance(error, kind):
                return error_response(status, str(error), code=code, param=param)
        return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, str(error), code="server_error")

    @app.exception_handler(RequestValidationError)
    async def invalid_query(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = str(first["loc"][-1])
        message = f"{param}: {first['msg']}"
        return error_response(HTTPStatus.BAD_REQUEST, message, code="invalid_value", param=param)

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        return error_response(HTTPStatus(error.status_code), str(error.detail), code="http_error")

    @app.exception_handler(Exception)
    async def defect(_request: Request, error: Exception) -> JSONResponse:
        message = f"the host failed with {type(error).__name__}; its operator's log says more"
        return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, message, code="server_error")
