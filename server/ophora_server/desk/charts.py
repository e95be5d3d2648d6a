"""What is drawn of the finished rounds: update norm, loss where sites share it, bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ophora_privacy.page.words import figure, size
from ophora_server.desk.chart import Chart, bar_chart, line_chart

_MOST_LINES = 6  # more can't be told apart by colour


def round_charts(records: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    """Those that have something to show. `records` are rounds with their receipts."""
    done = [record for record in records if record["state"] == "finished"]
    charts = (
        line_chart("Update norm", {"norm": _by_round(done, "update_norm")}, label=figure),
        line_chart("Loss, as sites share it", losses(done), label=figure),
        bar_chart(
            "Bytes a round",
            {
                "sent": _by_round(done, "bytes_sent"),
                "received": _by_round(done, "bytes_received"),
            },
            label=size,
        ),
    )
    return tuple(chart for chart in charts if chart is not None)


def losses(done: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    """By site and round, of updates that count; one mean where there are too many sites."""
    by_site: dict[str, dict[int, float]] = defaultdict(dict)
    for record in done:
        for receipt in record["receipts"]:
            loss = receipt["metrics"].get("loss")
            if receipt["counted"] and loss is not None:
                by_site[receipt["site"]][record["number"]] = loss
    if len(by_site) <= _MOST_LINES:
        return dict(sorted(by_site.items()))
    by_round: dict[int, list[float]] = defaultdict(list)
    for each in by_site.values():
        for number, loss in each.items():
            by_round[number].append(loss)
    means = {number: sum(each) / len(each) for number, each in by_round.items()}
    return {f"mean of {len(by_site)} sites": means}


def _by_round(done: Sequence[Mapping[str, Any]], name: str) -> dict[int, float]:
    return {each["number"]: each[name] for each in done if each[name] is not None}
