"""The page, its parts as fragments that it asks for again, its login and logout."""

from __future__ import annotations

import math
from collections.abc import Callable
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from ophora_privacy.page.look import asset as read_asset
from ophora_privacy.page.look import renderer
from ophora_privacy.page.words import duration
from ophora_server.desk.access import Address, cookie_name, session_of
from ophora_server.desk.board import Board
from ophora_server.desk.chart import HEIGHT, WIDTH
from ophora_server.desk.login import Login
from ophora_server.desk.release_folders import PICTURE_TYPES
from ophora_server.desk.sessions import Sessions
from ophora_server.desk.words import budget

_TITLES = {
    "live": "Now",
    "sites": "Sites",
    "rounds": "Rounds",
    "charts": "Charts",
    "releases": "Releases",
    "audit": "Audit log",
}
_EVERY_S = {"live": 3, "sites": 10, "rounds": 10, "charts": 15, "releases": 15, "audit": 10}
_MOST_BODY_BYTES = 8192


def page_router(board: Board) -> APIRouter:
    """What is to be seen; all of it is GET and changes nothing."""
    router = APIRouter()
    render = _renderer()

    @router.get("/", response_class=HTMLResponse)
    def index() -> str:
        values = {name: value for part in board.parts.values() for name, value in part().items()}
        return render("page.html", shown=board.run_id(), parts=list(board.parts), **values)

    @router.get("/parts/{name}", response_class=HTMLResponse)
    def part(name: str) -> Response:
        read = board.parts.get(name)
        if read is None:
            return Response(status_code=404)
        return HTMLResponse(render(f"parts/{name}.html", **read()))

    @router.get("/pictures/{digest}/{number}")
    def picture(digest: str, number: int) -> Response:
        path = board.picture(digest, number) if number >= 0 else None
        if path is None:
            return Response(status_code=404)
        return FileResponse(path, media_type=PICTURE_TYPES[path.suffix.lower()])

    @router.get("/static/{name}")
    def asset(name: str) -> Response:
        found = read_asset(name)
        if found is None:
            return Response(status_code=404)
        return Response(found[0], media_type=found[1])

    return router


def login_router(login: Login, sessions: Sessions, address: Address) -> APIRouter:
    """The way in and out."""
    router = APIRouter()
    render = _renderer()

    @router.get("/login", response_class=HTMLResponse)
    def ask() -> str:
        return render("login.html", trouble="")

    @router.post("/login")
    async def enter(request: Request) -> Response:
        caller = request.client.host if request.client else ""
        password = await _password(request)
        answer = await run_in_threadpool(login.attempt, password, caller)
        if not answer.is_right:
            wait_s = max(1, math.ceil(answer.wait_s))
            trouble = f"That did not work. The next try is looked at in {duration(wait_s)}."
            html = render("login.html", trouble=trouble)
            return HTMLResponse(html, 403, headers={"Retry-After": str(wait_s)})
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(
            cookie_name(address.port),
            sessions.open(),
            httponly=True,
            samesite="strict",
            secure=address.is_tls,
            path="/",
        )
        return response

    @router.post("/logout")
    def leave(request: Request) -> Response:
        sessions.close(session_of(request.headers, address.port))
        response = RedirectResponse("/login", status_code=303)
        response.delete_cookie(cookie_name(address.port), path="/")
        return response

    return router


async def _password(request: Request) -> str:
    """The form's field; empty where the body is not such a form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BODY_BYTES:
            return ""
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=2).get("password", [""])[0]
    except ValueError:
        return ""


def _renderer() -> Callable[..., str]:
    return renderer(
        "ophora_server.desk",
        side="coordinator",
        titles=_TITLES,
        every=_EVERY_S,
        budget=budget,
        chart_width=WIDTH,
        chart_height=HEIGHT,
    )
