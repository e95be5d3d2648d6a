"""`ophora site deidentify`: what curation would withhold from a text or mask in a video, and why.

Nothing is kept but the sheet that was asked for. The text that is shown is the caller's own.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ophora_client.site_settings import SiteSettings
    from ophora_curation.text.deidentify import Removal

_MAX_TEXT_BYTES = 1_000_000
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+")
_MAX_SENTENCE = 10_000  # characters; recognisers take a sentence at once and memory with it
_STDIN = Path("-")
# a terminal would act on these; one character for one, so that places stay where they are
_CONTROLS = {code: "?" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def deidentify(
    text: Annotated[
        Path | None, typer.Option("--text", help='Text to try, UTF-8; "-": standard input.')
    ] = None,
    frames: Annotated[Path | None, typer.Option("--frames", help="Video to try.")] = None,
    site: Annotated[
        Path | None, typer.Option("--site", help="Use this site's settings; else the defaults.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="With --frames: write masked pictures here, PNG.")
    ] = None,
) -> None:
    """Show what de-identification removes from a text or a video, without curating it."""
    if (text is None) == (frames is None):
        raise typer.BadParameter("give either --text FILE or --frames VIDEO")
    if sheet is not None and frames is None:
        raise typer.BadParameter("--sheet needs --frames: a text has no pictures")
    settings = _settings(site)
    if text is not None:
        _show_text(_read_text(text), settings)
    elif frames is not None:
        _show_frames(frames, settings, sheet)


def _settings(folder: Path | None) -> "SiteSettings | None":
    if folder is None:
        return None
    from ophora_client.site import Site

    return Site.open(folder).settings


def _read_text(path: Path) -> str:
    """The text. Raises `typer.BadParameter` for one that is missing, too large or no text."""
    try:
        if path == _STDIN:
            content = sys.stdin.buffer.read(_MAX_TEXT_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(_MAX_TEXT_BYTES + 1)
    except OSError as error:
        message = f"--text {path}: can't be read ({error.strerror}): give a text file"
        raise typer.BadParameter(message) from error
    if len(content) > _MAX_TEXT_BYTES:
        message = f"--text {path}: larger than {_MAX_TEXT_BYTES} bytes: give a part of it"
        raise typer.BadParameter(message)
    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        decoded = "\0"
    if "\0" in decoded:
        raise typer.BadParameter(f"--text {path}: is no UTF-8 text: give a text file")
    if not decoded.strip():
        raise typer.BadParameter(f"--text {path}: is empty: give a text file")
    if max(map(len, _SENTENCE_ENDS.split(decoded))) > _MAX_SENTENCE:
        message = (
            f"--text {path}: has a sentence of more than {_MAX_SENTENCE} characters: "
            "end sentences with full stops"
        )
        raise typer.BadParameter(message)
    return decoded.translate(_CONTROLS)


def _show_text(text: str, settings: "SiteSettings | None") -> None:
    """Each sentence with what goes and why, then the instruction that the rules would write."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ophora_curation.text.deidentify import TextDeidentifier
    from ophora_curation.text.refiner import RuleRefiner

    cleaner = TextDeidentifier()
    removals = cleaner.explain(text)
    table = Table("said", "withheld", "why", title="What may be kept of the text")
    for start, end in _sentences(text, removals):
        inside = [item for item in removals if start <= item.start < end]
        said = Text(text[start:end])
        for item in inside:
            said.stylize("red strike", item.start - start, item.end - start)
        withheld = Text("\n").join(Text(_one_line(text[item.start : item.end])) for item in inside)
        table.add_row(said, withheld, "\n".join(f"{item.guard}: {item.kind}" for item in inside))
    console = Console()
    console.print(table)
    written = RuleRefiner().write([cleaner.clean(text)])
    if written is None:
        console.print("instruction: none; nothing that may be kept describes surgery")
    else:
        console.print(Text(f"instruction: {written.text}"), soft_wrap=True)
        console.print(f"confidence {written.confidence:.2f}")
    if settings is not None and settings.refine.endpoint:
        console.print("the site's endpoint would word it anew, under the same guards")


def _sentences(text: str, removals: Sequence["Removal"]) -> list[tuple[int, int]]:
    """Where sentences begin and end; a removal is never divided ("Dr. Weiss is here.")."""
    found = [match.span() for match in re.finditer(r"\S.*?(?:[.!?](?=\s)|\Z)", text, re.DOTALL)]
    joined: list[tuple[int, int]] = []
    for start, end in found:
        before = joined[-1] if joined else (0, 0)
        if joined and any(item.start < before[1] < item.end for item in removals):
            joined[-1] = (before[0], end)
        else:
            joined.append((start, end))
    return joined


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _show_frames(path: Path, settings: "SiteSettings | None", sheet: Path | None) -> None:
    """A table of what would be masked or held, by time. Raises what `preview_video` raises."""
    from rich.console import Console

    from ophora_curation.detectors import Detectors
    from ophora_curation.errors import VideoRefused
    from ophora_curation.picture.preview import preview_video
    from ophora_curation.settings import CurationSettings
    from ophora_curation.source.probe import REFUSALS

    if not path.is_file():
        raise typer.BadParameter(f"--frames {path}: is no file: give a video")
    if sheet is not None:
        _check_sheet(sheet, path)
    curation = settings.curation if settings else CurationSettings()
    detectors = Detectors(curation, refine=settings.refine if settings else None)
    try:
        preview = preview_video(path, settings=curation, detectors=detectors, sheet=sheet)
    except VideoRefused as refusal:
        meaning = REFUSALS.get(refusal.reason, "it can't be used")
        typer.echo(f"the video would be refused: {refusal.reason} ({meaning})", err=True)
        raise typer.Exit(1) from refusal
    _print_findings(Console(), preview.chunks)
    if sheet is not None:
        typer.echo(f"masked pictures: {sheet}")


def _check_sheet(sheet: Path, video: Path) -> None:
    if sheet.suffix.lower() != ".png" or not sheet.parent.is_dir() or sheet.is_dir():
        message = f"--sheet {sheet}: must be a file ending in .png in a folder that exists"
        raise typer.BadParameter(message)
    if sheet.exists() and sheet.samefile(video):
        raise typer.BadParameter(f"--sheet {sheet}: is the video itself: give another file")


def _print_findings(console: "Console", chunks: Sequence[Any]) -> None:
    from rich.table import Table

    table = Table("time", "found", "box", "score", "what happens", title="What must not be seen")
    for start_s, end_s, findings in chunks:
        for found in findings:
            left, top, right, bottom = found.box
            table.add_row(
                f"{start_s:.1f}-{end_s:.1f} s",
                f"{found.detector}: {found.kind}",
                f"{left},{top} - {right},{bottom}",
                f"{found.score:.2f}",
                "masked" if found.masked else "held",
            )
    if table.row_count:
        console.print(table)
    else:
        console.print(f"nothing found in {len(chunks)} parts of the video")
