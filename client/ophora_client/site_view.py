"""What `ophora site` shows on a terminal: progress and tables of counts, never a name or a path."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ophora_curation.phases import PHASE_TITLES, PHASES
from ophora_curation.pipeline import Progress
from ophora_curation.source.probe import REFUSALS
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import TIERS


class CurationProgress:
    """A progress bar over videos; pass `update` to `curate`."""

    def __init__(self, console: Console | None = None) -> None:
        self._bar = Bar(
            TextColumn("curating"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("videos, {task.fields[clips]} clips, {task.fields[refused]} refused"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task("curating", total=None, clips=0, refused=0, left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Show how far the run is."""
        self._bar.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            clips=progress.clips,
            refused=progress.refused,
            left=_left(progress),
        )


def _left(progress: Progress) -> str:
    """Time left, or what is done before there is anything to judge it by."""
    if progress.verified < progress.to_verify:
        return f"checking clip {progress.verified} of {progress.to_verify}"
    if progress.left_s is None or progress.done == progress.total:
        return ""
    minutes, seconds = divmod(round(progress.left_s), 60)
    return f"about {minutes}:{seconds:02d} left"


def show_counts(manifest_path: Path, console: Console | None = None) -> None:
    """Tables of tiers by phase, reasons for clips and reasons for refused videos."""
    console = console or Console()
    if not manifest_path.is_file():
        console.print("nothing curated yet: run `ophora site curate VIDEO_DIR --site DIR`")
        return
    with Manifest.open(manifest_path) as manifest:
        clips, videos = manifest.clips(), manifest.videos()
    console.print(_tier_table(Counter((clip.phase, clip.tier) for clip in clips)))
    held = Counter(
        (clip.tier, reason) for clip in clips if clip.tier != "p2ft" for reason in clip.reasons
    )
    if held:
        table = Table("tier", "reason", "clips", title="Why clips are not in p2ft")
        for (tier, reason), count in held.most_common():
            table.add_row(tier, reason, str(count))
        console.print(table)
    refused = Counter(
        reason for video in videos if video.status == "refused" for reason in video.reasons
    )
    if refused:
        table = Table("reason", "meaning", "videos", title="Refused videos")
        for reason, count in refused.most_common():
            table.add_row(reason, REFUSALS.get(reason, ""), str(count))
        console.print(table)
    patients = {video.patient_id for video in videos if video.status == "curated"}
    console.print(f"{len(videos)} videos of {len(patients)} patients, {len(clips)} clips")


def _tier_table(counts: Counter[tuple[str | None, str]]) -> Table:
    table = Table("phase", *TIERS, title="Clips by phase and tier")
    for phase in (*PHASES, None):
        row = [counts[phase, tier] for tier in TIERS]
        if any(row):
            title = PHASE_TITLES[phase] if phase else "(not recognised)"
            table.add_row(title, *map(str, row))
    totals = [sum(n for (_, tier), n in counts.items() if tier == wanted) for wanted in TIERS]
    table.add_section()
    table.add_row("all", *map(str, totals))
    return table


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Send curation's log (ids and counts) to a file of the site."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("ophora.curation")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
        handler.close()
