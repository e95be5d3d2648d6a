"""The files that a browser is given, and the renderer of a page's templates.

    templates of the page's own package, else of this one -> `renderer` -> HTML, all values escaped

A page extends `frame.html` and has its parts in `parts/NAME.html`; `page.js` asks for
`/parts/NAME` again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from ophora_privacy.page import words

_ASSETS = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_FILTERS = (
    words.moment,
    words.iso,
    words.ago,
    words.duration,
    words.size,
    words.figure,
    words.short,
)


def asset(name: str) -> tuple[bytes, str] | None:
    """A file's content and media type; None for any name that is not listed."""
    if name not in _ASSETS:
        return None
    return files("ophora_privacy.page").joinpath("static", name).read_bytes(), _ASSETS[name]


def renderer(package: str, **known: Any) -> Callable[..., str]:
    """`render(template, **values)` for the templates of `package`; `known` is in all of them.

    A name that a template asks for and nobody gave raises jinja2.UndefinedError.
    """
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(package, "templates"), PackageLoader("ophora_privacy.page", "templates")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({each.__name__: each for each in _FILTERS})
    environment.globals.update(blank=words.NONE, **known)

    def render(name: str, **values: Any) -> str:
        return environment.get_template(name).render(**values)

    return render
