"""The demo's report: `report.html` for a person, `report.json` for a program."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ophora_curation.phases import PHASE_TITLES, PHASES
from ophora_deploy.demo.evaluation import Evaluation, Skill
from ophora_deploy.demo.pictures import (
    contact_sheet,
    data_url,
    loss_plot,
    match_plot,
    moving_picture,
)
from ophora_model.video import Frames

MODELS = {"base": "Base", "tpt": "After TPT", "p2ft": "After P2FT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFigures:
    """What one site did, as its own folder says; only the demo, which owns all sites, sees it."""

    code: str
    patients: int
    videos: int
    tiers: Mapping[str, int]
    reasons: Mapping[str, int]
    losses: Sequence[float]
    epsilon: float
    epsilon_after: Mapping[str, float]  # by stage, all before it included
    delta: float
    epsilon_method: str
    epsilon_cap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything the report shows."""

    sites: Sequence[SiteFigures]
    real: Mapping[str, Frames]
    evaluations: Mapping[str, Evaluation]  # base, tpt, p2ft
    skill: Skill
    bytes_sent: int
    bytes_received: int
    updates: int
    round_marks: Sequence[int]
    canaries: Mapping[str, int]  # planted, searched (bytes), found
    seconds: Mapping[str, float]
    peak_memory_gb: float
    privacy_words: str
    target_epsilon: float | None
    seed: int


def write_json(path: Path, findings: Findings) -> None:
    """The figures, each with its sample size."""
    evaluations = findings.evaluations
    figures: dict[str, Any] = {
        "phase_match": {k: e.phase_match.to_dict() for k, e in evaluations.items()},
        "overlay_rate": {k: e.overlay_rate.to_dict() for k, e in evaluations.items()},
        "judge": {
            "phase_accuracy": findings.skill.phase_accuracy.to_dict(),
            "overlay_accuracy": findings.skill.overlay_accuracy.to_dict(),
        },
        "bytes_sent": {"value": findings.bytes_sent, "samples": findings.updates},
        "bytes_received": {"value": findings.bytes_received, "samples": findings.updates},
        "seconds": {"value": round(sum(findings.seconds.values()), 1), "samples": 1},
        "seconds_by_part": {k: round(v, 1) for k, v in findings.seconds.items()},
        "peak_memory_gb": {"value": round(findings.peak_memory_gb, 2), "samples": 1},
        "epsilon": {
            site.code: {
                "value": _finite(site.epsilon),
                "after": {stage: _finite(value) for stage, value in site.epsilon_after.items()},
                "delta": site.delta,
                "method": site.epsilon_method,
                "samples": site.patients,
            }
            for site in findings.sites
        },
        "canaries": dict(findings.canaries),
        "sites": {
            s.code: {"patients": s.patients, "videos": s.videos, "tiers": dict(s.tiers)}
            for s in findings.sites
        },
        "seed": findings.seed,
    }
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def write_html(path: Path, findings: Findings) -> None:
    """One page without anything beside it; the contact sheet also as a PNG beside the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    rows = [(PHASE_TITLES[phase], _cells(findings, phase)) for phase in PHASES]
    sheet = contact_sheet(rows, ["Phantom (real clips)", *MODELS.values()])
    path.with_name("contact-sheet.png").write_bytes(sheet)
    matches = {
        title: {p: r.value for p, r in findings.evaluations[key].phase_match_by_phase.items()}
        for key, title in MODELS.items()
    }
    environment = Environment(
        loader=PackageLoader("ophora_deploy.demo", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html").render(
        findings=findings,
        models=MODELS,
        evaluations=findings.evaluations,
        moving=[
            (title, [moving_picture(cell) if cell is not None else None for cell in cells])
            for title, cells in rows
        ],
        sheet=data_url(sheet, "image/png"),
        losses=data_url(
            loss_plot({s.code: s.losses for s in findings.sites}, findings.round_marks), "image/png"
        ),
        matches=data_url(
            match_plot(matches, [PHASE_TITLES[phase] for phase in PHASES]), "image/png"
        ),
        chance=1 / len(PHASES),
        total_seconds=sum(findings.seconds.values()),
    )
    path.write_text(html, encoding="utf-8")


def _finite(epsilon: float) -> float | str:
    return epsilon if math.isfinite(epsilon) else "infinite"


def _cells(findings: Findings, phase: str) -> list[Frames | None]:
    generated = [findings.evaluations[key].videos[phase][0] for key in MODELS]
    return [findings.real.get(phase), *generated]
