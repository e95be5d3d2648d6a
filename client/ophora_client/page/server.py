"""The page's application: its parts, which it asks for again, the plot, and older messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import FastAPI, Path
from fastapi.responses import HTMLResponse, Response

from ophora_client.page.board import Board
from ophora_client.page.trouble import Trouble
from ophora_client.review.words import TIER_WORDS
from ophora_privacy.page.look import asset as read_asset
from ophora_privacy.page.look import renderer

_TITLES = {
    "now": "Now",
    "approvals": "Waiting for approval",
    "budget": "Privacy budget",
    "sent": "What was sent",
    "kinds": "What a message holds",
    "policy": "Policy in force",
}
_MOST_ROWS = 50  # on one page
_EVERY_S = {"now": 3, "approvals": 10, "budget": 15, "sent": 10, "kinds": 3600, "policy": 15}


def make_app(board: Board) -> FastAPI:
    """The application; `loopback` guards it. All of it is GET and changes nothing."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    render = _renderer()

    @app.get("/", response_class=HTMLResponse)
    def index() -> str:
        values = {name: value for part in board.parts.values() for name, value in part().items()}
        return render("page.html", shown=board.code, parts=list(board.parts), **values)

    @app.get("/parts/{name}", response_class=HTMLResponse)
    def part(name: str) -> Response:
        read = board.parts.get(name)
        if read is None:
            return Response(status_code=404)
        return HTMLResponse(render(f"parts/{name}.html", **read()))

    @app.get("/messages/{before}", response_class=HTMLResponse)
    def messages(before: Annotated[int, Path(ge=1, le=2**53)]) -> str:
        return render("messages.html", shown=board.code, **board.sent_before(before))

    @app.get("/budget-{size}.png")
    def plot(size: str) -> Response:
        drawn = board.plot(is_narrow=size == "narrow") if size in ("wide", "narrow") else None
        if drawn is None:
            return Response(status_code=404)
        return Response(drawn, media_type="image/png")

    @app.get("/static/{name}")
    def asset(name: str) -> Response:
        found = read_asset(name)
        if found is None:
            return Response(status_code=404)
        return Response(found[0], media_type=found[1])

    return app


def _renderer() -> Callable[..., str]:
    return renderer(
        "ophora_client.page",
        side="site",
        titles=_TITLES,
        every=_EVERY_S,
        tier_words=TIER_WORDS,
        is_trouble=lambda value: isinstance(value, Trouble),
        most=_MOST_ROWS,
    )
