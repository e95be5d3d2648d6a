"""The page at /: type a prompt, watch it being made, see the video. No build, no outside assets."""

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, select_autoescape

from ophora_server.generator.examples import EXAMPLE_PROMPTS
from ophora_server.generator.order import MAX_PROMPT_CHARS, Offer

_CONTENT_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"


def page_router(offer: Offer) -> APIRouter:
    """Return the route of the page, rendered once for what this host offers."""
    source = files("ophora_server.generator").joinpath("templates", "index.html").read_text("utf-8")
    environment = Environment(autoescape=select_autoescape(default=True))
    html = environment.from_string(source).render(
        offer=offer, examples=EXAMPLE_PROMPTS, max_prompt_chars=MAX_PROMPT_CHARS
    )
    router = APIRouter(include_in_schema=False)

    @router.get("/", response_class=HTMLResponse)
    def index() -> HTMLResponse:
        return HTMLResponse(
            html,
            headers={
                "Content-Security-Policy": _CONTENT_POLICY,
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            },
        )

    return router
