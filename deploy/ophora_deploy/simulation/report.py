"""What the rounds of a simulation came to: rows from the registry, as table, JSON and picture."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ophora_deploy.simulation.plan import SimulationPlan
from ophora_model.draft import write_whole
from ophora_server.federation_settings import FederationSettings
from ophora_server.registry.reports import history, records
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import open_registry

if TYPE_CHECKING:
    from rich.table import Table

JSON_FILE, PICTURE = "rounds.json", "rounds.png"
_INK, _GRID, _LINE = "#22303c", "#d9e0e6", "#1f77a4"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """One finished round. Bytes are of payloads, over all sites; `epsilon` is the largest that a
    site stated for a patient, infinite without a bound; `loss` is the mean over sites, NaN where
    none gave one."""

    round: int
    stage: str
    sites: int
    seconds: float
    bytes_sent: int
    bytes_received: int
    update_norm: float
    epsilon: float
    loss: float


def read_rows(run: RunFolder, settings: FederationSettings) -> list[RoundRow]:
    """Every finished round, in order."""
    with open_registry(run) as registry:
        entries = history(registry, settings.run_id)
        losses = {each["number"]: _loss(each) for each in records(registry, settings.run_id)}
    return [
        RoundRow(
            round=entry["round"],
            stage=entry["stage"],
            sites=len(entry["sites"]),
            seconds=entry["seconds"],
            bytes_sent=sum(entry["bytes_sent"].values()),
            bytes_received=sum(entry["bytes_received"].values()),
            update_norm=entry["update_norm"],
            epsilon=_epsilon(entry),
            loss=losses[entry["round"]],
        )
        for entry in entries
    ]


def write_report(rows: Sequence[RoundRow], plan: SimulationPlan, out: Path) -> None:
    """`rounds.json` and `rounds.png` in the folder."""
    shown = [{name: _plain(value) for name, value in asdict(row).items()} for row in rows]
    content = {"simulation": asdict(plan), "rounds": shown}
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_whole(out / JSON_FILE, text.encode())
    write_whole(out / PICTURE, draw(rows))


def table(rows: Sequence[RoundRow]) -> Table:
    """One line a round, for a terminal."""
    from rich.table import Table

    made = Table("round", "stage", "sites", "seconds", "MB out", "MB in", "norm", "epsilon", "loss")
    for column in made.columns[2:]:
        column.justify = "right"
    for row in rows:
        made.add_row(
            str(row.round),
            row.stage,
            str(row.sites),
            f"{row.seconds:.1f}",
            f"{row.bytes_sent / 1e6:.1f}",
            f"{row.bytes_received / 1e6:.1f}",
            f"{row.update_norm:.3g}",
            f"{row.epsilon:.3g}",
            "" if math.isnan(row.loss) else f"{row.loss:.4f}",
        )
    return made


def draw(rows: Sequence[RoundRow]) -> bytes:
    """PNG: seconds, update norm, epsilon and loss by round; what has no finite value is empty."""
    import io

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 5.6), dpi=110, layout="constrained")
    panels = (
        ("seconds", [row.seconds for row in rows]),
        ("norm of the mean update", [row.update_norm for row in rows]),
        ("epsilon per patient, largest", [row.epsilon for row in rows]),
        ("loss at the sites, mean", [row.loss for row in rows]),
    )
    for place, (title, values) in enumerate(panels, start=1):
        axes = figure.add_subplot(2, 2, place)
        finite = [value if math.isfinite(value) else math.nan for value in values]
        axes.plot([row.round for row in rows], finite, color=_LINE, marker="o", markersize=3)
        if all(math.isnan(value) for value in finite):
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=_INK)
        _plain_axes(axes, title)
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor="white")
    return data.getvalue()


def _plain_axes(axes: Any, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, fontsize=10, color=_INK)
    axes.set_xlabel("round", fontsize=9, color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(color=_GRID)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _epsilon(entry: dict[str, Any]) -> float:
    stated = [each["epsilon"] for each in entry["stated"].values()]
    return max((math.inf if value is None else value for value in stated), default=math.nan)


def _loss(record: dict[str, Any]) -> float:
    losses = [
        each["metrics"]["loss"]
        for each in record["receipts"]
        if each["counted"] and "loss" in each["metrics"]
    ]
    return sum(losses) / len(losses) if losses else math.nan


def _plain(value: Any) -> Any:
    """JSON has no infinity: None stands for what has no finite value."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
