"""Jobs and errors in the shape of the OpenAI videos API."""

from http import HTTPStatus

from fastapi.responses import JSONResponse

from ophora_server.generator.job import Job, JobPage

Json = dict[str, object]


def video_object(job: Job) -> Json:
    """One video, as `retrieve` returns it. `seed`, `steps` and `guidance` are additions of ours."""
    error = None
    if job.error is not None:
        error = {"code": job.error.code, "message": job.error.message}
    return {
        "id": job.video_id,
        "object": "video",
        "model": job.order.model,
        "status": job.status.value,
        "progress": job.progress,
        "created_at": int(job.created_at),
        "completed_at": None if job.completed_at is None else int(job.completed_at),
        "expires_at": None,
        "prompt": job.order.prompt,
        "seconds": job.order.seconds,
        "size": job.order.size,
        "remixed_from_video_id": None,
        "error": error,
        "seed": job.order.seed,
        "steps": job.order.steps,
        "guidance": job.order.guidance,
    }


def list_object(page: JobPage) -> Json:
    """A page of videos, as `list` returns it."""
    ids = [job.video_id for job in page.jobs]
    return {
        "object": "list",
        "data": [video_object(job) for job in page.jobs],
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": page.has_more,
    }


def error_response(
    status: HTTPStatus, message: str, *, code: str, param: str | None = None
) -> JSONResponse:
    """An error object with its HTTP status."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status_code=status)
