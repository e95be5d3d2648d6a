"""The page and what it fetches: the queue, one clip as HTML, its sheet, its file, a decision."""

from collections.abc import Callable
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field

from ophora_client.review.desk import Request, ReviewDesk
from ophora_client.review.sheet import contact_sheet
from ophora_client.review.words import SCORE_WORDS, TIER_WORDS, phase_title, plain
from ophora_curation.store.records import ClipRow, Tier
from ophora_curation.store.review import DECISIONS, REASONS, Decision, obstacle

TABS: tuple[Tier, ...] = ("quarantine", "p2ft", "tpt")
_STATIC = {"page.js": "text/javascript", "page.css": "text/css"}
ClipId = Annotated[str, Path(pattern=r"^[0-9A-Za-z]{1,64}$")]


class Choice(BaseModel):
    """The body of a decision: what the reviewer wants and what the page had shown."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Decision
    sha256: str = Field(max_length=64)
    tier: Tier
    num_reviews: int = Field(ge=0)
    reason: str = Field(default="", max_length=32)


def page_router(desk: ReviewDesk, *, tier: Tier, code: str, reviewer: str) -> APIRouter:
    """The page's routes; `tier` is the tab shown first."""
    router = APIRouter()
    render = _renderer()

    @router.get("/", response_class=HTMLResponse)
    def index() -> str:
        return render(
            "page.html", tabs=TABS, tier=tier, code=code, reviewer=reviewer, reasons=REASONS
        )

    @router.get("/static/{name}")
    def asset(name: str) -> Response:
        if name not in _STATIC:
            return Response(status_code=404)
        body = files("ophora_client.review").joinpath("static", name).read_bytes()
        return Response(body, media_type=_STATIC[name])

    @router.get("/queue")
    def queue() -> dict[str, list[str]]:
        return {each: [clip.clip_id for clip in desk.queue(each)] for each in TABS}

    @router.get("/clips/{clip_id}", response_class=HTMLResponse)
    def clip(clip_id: ClipId) -> str:
        return render("clip.html", **_view(desk, desk.clip(clip_id)))

    @router.get("/clips/{clip_id}/sheet")
    def sheet(clip_id: ClipId, columns: Annotated[int, Query(ge=1, le=8)] = 3) -> Response:
        row = desk.clip(clip_id)
        jpeg = contact_sheet(desk.file(row), row.findings, columns=columns)
        return Response(jpeg, media_type="image/jpeg")

    @router.get("/clips/{clip_id}/video")
    def video(clip_id: ClipId) -> FileResponse:
        return FileResponse(desk.file(desk.clip(clip_id)), media_type="video/mp4")

    @router.post("/clips/{clip_id}/decision")
    def decide(clip_id: ClipId, choice: Choice) -> dict[str, str]:
        review = desk.decide(Request(clip_id=clip_id, **choice.model_dump()))
        return {"decision": review.decision, "tier": review.tier_after}

    return router


def _view(desk: ReviewDesk, clip: ClipRow) -> dict[str, Any]:
    return {
        "clip": clip,
        "reviews": desk.reviews(clip.clip_id),
        "obstacles": {decision: obstacle(clip, decision) for decision in DECISIONS},
        "scores": [(SCORE_WORDS.get(name, plain(name)), n) for name, n in clip.scores.items()],
    }


def _renderer() -> Callable[..., str]:
    environment = Environment(
        loader=PackageLoader("ophora_client.review", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(tier_words=TIER_WORDS, phase_title=phase_title)
    environment.filters["plain"] = plain

    def render(name: str, **values: Any) -> str:
        return environment.get_template(name).render(**values)

    return render
