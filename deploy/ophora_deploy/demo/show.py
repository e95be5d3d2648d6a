"""The demo's progress in a terminal: one bar for each part, with the time it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Show:
    """Bars and lines on stderr; `seconds` has the time of every finished part."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, title: str, total: int = 1) -> Iterator[Callable[[int, str], None]]:
        """A part with a bar; the callable sets how many of `total` are done, with a note."""
        began = time.monotonic()
        bar = Progress(
            TextColumn("{task.description:<44}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self.console,
        )
        with bar:
            task = bar.add_task(title, total=total, note="")

            def move(done: int, note: str = "") -> None:
                bar.update(task, completed=done, note=note)

            yield move
            bar.update(task, completed=total, note="")
        self.seconds[title] = self.seconds.get(title, 0.0) + time.monotonic() - began
        if not self.console.is_terminal:
            self.console.print(f"{title}: {self.seconds[title]:.0f} s")
