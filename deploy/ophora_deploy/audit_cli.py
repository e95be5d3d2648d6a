"""`ophora federation audit RELEASE`: both halves of an audit, for sites on this machine.

    RELEASE, --site FOLDER... -> each site's half -> the coordinator's -> OUT/

    OUT/evidence.json   figures for the release gate     OUT/audits.json   what the sites said
    OUT/audit.html      the findings in words, with each attack's curve

Sites on other machines run their half there and send its JSON; here it is given with `--audit`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ophora_client.audit import AuditOptions, ReadText
    from ophora_server.audit import AuditReport

_COLOURS = {"loss": "#1f6feb", "pia": "#bf3989", "sima": "#1a7f37"}
_SIDE = 180


def audit(
    release: Annotated[Path, typer.Argument(help="A release's folder, or an adapter file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for evidence and report.")],
    site: Annotated[
        list[Path] | None, typer.Option("--site", help="A site's folder here; repeatable.")
    ] = None,
    sent: Annotated[
        list[Path] | None, typer.Option("--audit", help="JSON of another site's half; repeatable.")
    ] = None,
    stage: Annotated[str, typer.Option(help="Whose clips: tpt or p2ft.")] = "tpt",
    videos: Annotated[int, typer.Option(min=0, help="To generate at each site; 0: none.")] = 24,
    steps: Annotated[int | None, typer.Option(help="Of sampling; default: the preset's.")] = None,
    patients: Annotated[int, typer.Option(help="Of each group, at most.")] = 200,
    seed: Annotated[int, typer.Option(help="Of prompts and noise.")] = 0,
) -> None:
    """Audit a release: membership, canaries, replication, irises, overlays. Exit 1 on an alarm."""
    from ophora_client.audit import AuditOptions
    from ophora_server.audit import combine_audits
    from ophora_server.errors import InvalidFederation

    if not site and not sent:
        raise InvalidFederation("--site or --audit: at least one is needed")
    options = AuditOptions(stage=stage, videos=videos, steps=steps, patients=patients, seed=seed)
    said = [_read(path) for path in sent or ()]
    said += [_site_half(folder, release, options) for folder in site or ()]
    report = combine_audits(said)
    _write(out, report, options)
    for finding in report.findings:
        mark = "ALARM " if finding.alarming else ""
        typer.echo(f"{finding.site}, {finding.part}: {mark}{finding.words}")
    typer.echo(f"evidence: {out / 'evidence.json'}; report: {out / 'audit.html'}")
    if report.alarming:
        raise typer.Exit(1)


def plant(
    site: Annotated[Path, typer.Option("--site", help="The site's folder.")],
    count: Annotated[int, typer.Option("--count", min=2, help="Canaries; half will train.")] = 250,
) -> None:
    """Plant canaries at a site, before its first round: invented patients for the audit."""
    from ophora_client.audit import plant_canaries
    from ophora_client.site import Site

    included = plant_canaries(Site.open(site), count)
    typer.echo(f"{count} canaries planted; the coin included {included}, which stays secret")


def _read(path: Path) -> dict[str, Any]:
    import json

    from ophora_server.errors import InvalidFederation

    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidFederation(f"{path.name}: no JSON of a site's audit; ask it again") from error
    if not isinstance(given, dict):
        raise InvalidFederation(f"{path.name}: must be one JSON object; ask the site again")
    return given


def _site_half(folder: Path, release: Path, options: "AuditOptions") -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from ophora_client.audit import audit_site
    from ophora_client.site import Site

    opened = Site.open(folder)
    code = opened.settings.site.code
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as bars:
        tasks: dict[str, Any] = {}

        def show(part: str, done: int, total: int) -> None:
            if part not in tasks:
                tasks[part] = bars.add_task(f"{code}: {part}", total=total)
            bars.update(tasks[part], completed=done, total=total)

        found = audit_site(opened, release, options, read_text=_reader(), progress=show)
    return found.to_dict()


def _reader() -> "ReadText":
    """Reads the temporal mean and the middle frame, four times as large where they are small."""
    import cv2
    import numpy as np

    from ophora_curation.picture.text_detector import TextDetector

    detector = TextDetector()

    def read(frames: Any) -> list[str]:
        mean = frames.astype(np.float32).mean(axis=0).astype(np.uint8)
        lines = []
        for picture in (mean, frames[len(frames) // 2]):
            height, width = picture.shape[:2]
            scale = 4 if height < 200 else 1
            size = tuple(max(32, round(scale * side / 32) * 32) for side in (width, height))
            large = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
            lines += [detector.read(large, box, score).text for box, score in detector.find(large)]
        return lines

    return read


def _write(out: Path, report: "AuditReport", options: "AuditOptions") -> None:
    import datetime
    import importlib.metadata
    import json
    from dataclasses import asdict

    from ophora_model.draft import write_whole

    parameters = {key: value for key, value in asdict(options).items() if value is not None}
    made_on = datetime.datetime.now(datetime.UTC).date().isoformat()
    evidence = report.to_evidence(
        command="ophora federation audit RELEASE --site SITE --out OUT",
        parameters=parameters,
        seed=options.seed,
        code_version=importlib.metadata.version("ophora-federated"),
        made_on=made_on,
    )
    out.mkdir(parents=True, exist_ok=True)
    evidence.write(out / "evidence.json")
    said = [audit.to_dict() for audit in report.audits]
    write_whole(out / "audits.json", json.dumps(said, indent=2, sort_keys=True).encode())
    write_whole(out / "audit.html", render_report(report, made_on).encode())


def render_report(report: "AuditReport", made_on: str) -> str:
    """The report as one HTML page without anything beside it."""
    from html import escape

    rows = "".join(
        f"<tr{' class=alarm' if each.alarming else ''}><td>{escape(each.site)}</td>"
        f"<td>{escape(each.part)}</td><td>{escape(each.words)}</td></tr>\n"
        for each in report.findings
    )
    plots = "".join(
        f"<figure><figcaption>{escape(audit.site)}</figcaption>"
        f"{_curves({attack: each.roc for attack, each in audit.membership.items()})}</figure>\n"
        for audit in report.audits
        if audit.membership
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Audit of a release</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
td {{ padding: .3em .8em .3em 0; vertical-align: top; border-top: 1px solid #8884 }}
.alarm {{ font-weight: 600; color: #c0392b }}
figure {{ display: inline-block; margin: 1em 2em 0 0 }}
</style>
<h1>Audit of a release</h1>
<p>Adapter {escape(report.release_sha256[:16])}..., {made_on}, {len(report.audits)} sites.
An audit can prove that a promise is broken; passing one proves nothing. The ledger's epsilon is
the promise. Counts of patients are rounded down to fives, rates to two decimals.</p>
<table>{rows}</table>
{plots}
<p>Curves: patients who trained that are found, over patients held out that are taken for one; the
diagonal is chance.</p>
</html>
"""


def _curves(curves: dict[Any, Sequence[float]]) -> str:
    """ROC curves as SVG: x is the rate of false positives, y that of true ones."""
    lines = [
        f'<svg width="{_SIDE + 70}" height="{_SIDE + 2}" role="img" aria-label="ROC curves">',
        f'<rect x="1" y="1" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>',
        f'<path d="M1 {_SIDE + 1}L{_SIDE + 1} 1" stroke="#888" stroke-dasharray="4"/>',
    ]
    for place, (attack, roc) in enumerate(curves.items()):
        step = _SIDE / (len(roc) - 1)
        points = " ".join(
            f"{1 + step * number:.1f},{1 + _SIDE * (1 - rate):.1f}"
            for number, rate in enumerate(roc)
        )
        colour = _COLOURS[attack]
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        text = f'<text x="{_SIDE + 8}" y="{20 + 18 * place}" fill="{colour}">{attack}</text>'
        lines.append(text)
    return "".join([*lines, "</svg>"])
