"""The report as one HTML file: nothing beside it, nothing loaded, printable, light or dark."""

import base64
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from ophora_client.report.figures import Figures
from ophora_client.report.plot import HEIGHT, WIDTH
from ophora_client.review.sheet import encode_jpeg, sample_frames
from ophora_client.review.words import TIER_WORDS, phase_title, plain
from ophora_curation.source.probe import REFUSALS
from ophora_curation.store.records import TIERS, ClipRow

MAX_THUMBNAILS = 60
_STEP = 3  # of a thumbnail: every third row and column


def render_report(
    figures: Figures, *, code: str, made_on: date, thumbnails: Sequence[str] = ()
) -> str:
    """The page. `thumbnails` are data URLs; with any, the page says not to mail it."""
    environment = Environment(
        loader=PackageLoader("ophora_client.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment.get_template("report.html").render(
        figures=figures,
        code=code,
        made_on=made_on.isoformat(),
        thumbnails=thumbnails,
        tiers=TIERS,
        tier_words=TIER_WORDS,
        refusals=REFUSALS,
        phase_title=phase_title,
        width=WIDTH,
        height=HEIGHT,
    )


def make_thumbnails(clips: Sequence[ClipRow], folder: Path) -> list[str]:
    """The middle frame of accepted clips, spread over all of them, as data URLs."""
    paths = [folder / f"{clip.clip_id}.mp4" for clip in clips]
    paths = [path for path in paths if path.is_file()]
    step = max(1, -(-len(paths) // MAX_THUMBNAILS))
    urls = []
    for path in paths[::step]:
        picture = sample_frames(path, 3)[-2:][0][::_STEP, ::_STEP]
        urls.append("data:image/jpeg;base64," + base64.b64encode(encode_jpeg(picture)).decode())
    return urls
