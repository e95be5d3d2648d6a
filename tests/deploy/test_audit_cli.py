"""`ophora federation audit`: from what sites said to evidence and a page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ophora_deploy.audit_cli import _reader, audit, render_report
from ophora_model.audit.canaries import canary_frames, draw_canaries
from ophora_model.audit.glyphs import videos_with_code
from ophora_model.presets import find_preset
from ophora_privacy.audit.membership import membership_figures
from ophora_privacy.audit.one_run import canary_figures
from ophora_privacy.audit.site_audit import SiteAudit
from ophora_server.audit import combine_audits
from ophora_server.errors import InvalidFederation
from ophora_server.evidence import Evidence


def said(site: str, *, leak: float) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    coins = rng.random(100) < 0.5
    return SiteAudit(
        site=site,
        release_sha256="a" * 64,
        epsilon=1.0,
        delta=1e-5,
        membership={
            "loss": membership_figures(
                {f"m{n}": [leak + rng.normal()] for n in range(20)},
                {f"o{n}": [rng.normal()] for n in range(20)},
            )
        },
        replication={},
        canaries=canary_figures(leak * coins + rng.normal(size=100), coins, delta=1e-5),
        missing={"overlay": "not-asked"},
    ).to_dict()


def run(tmp_path: Path, *arguments: str) -> Any:
    app = typer.Typer()
    app.command()(audit)
    return CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "out"), *arguments])


def given(tmp_path: Path, leak: float) -> list[str]:
    arguments = []
    for site in ("site-a", "site-b"):
        path = tmp_path / f"{site}.json"
        path.write_text(json.dumps(said(site, leak=leak)))
        arguments += ["--audit", str(path)]
    return arguments


def test_no_alarm_writes_evidence_and_a_page(tmp_path: Path) -> None:
    done = run(tmp_path, *given(tmp_path, 0.0))
    assert done.exit_code == 0, done.output
    evidence = Evidence.read(tmp_path / "out" / "evidence.json")
    assert evidence.adapter_sha256 == "a" * 64
    assert len(evidence.figures_of("membership", "auc")) == 2
    page = (tmp_path / "out" / "audit.html").read_text()
    assert page.count("<polyline") == 2
    assert "not measured: not-asked" in page
    assert len(json.loads((tmp_path / "out" / "audits.json").read_text())) == 2


def test_an_alarm_is_the_exit_code(tmp_path: Path) -> None:
    done = run(tmp_path, *given(tmp_path, 6.0))
    assert done.exit_code == 1
    assert "ALARM" in done.output
    assert (tmp_path / "out" / "evidence.json").is_file()


def test_without_a_site_or_with_a_spoilt_file_it_says_so(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path).exception, InvalidFederation)
    for text in ("no json", "[]"):
        (tmp_path / "bad.json").write_text(text)
        done = run(tmp_path, "--audit", str(tmp_path / "bad.json"))
        assert isinstance(done.exception, InvalidFederation)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("leak", [0.0, 6.0])
def test_the_page_loads_nothing_from_elsewhere(leak: float) -> None:
    page = render_report(combine_audits([said("site-a", leak=leak)]), "2026-01-31")
    assert "http" not in page
    assert "<script" not in page
    assert ("class=alarm" in page) == (leak > 0)


@pytest.mark.slow
def test_the_reader_reads_the_codes_of_canaries() -> None:
    preset = find_preset("tiny")
    canaries = draw_canaries(b"the secret of a site, 32 bytes..", 6)
    videos = [canary_frames(canary, preset) for canary in canaries]
    read = _reader()
    assert videos_with_code(videos, [canary.code for canary in canaries], read) == 6
    assert videos_with_code(videos, ["XXXXXX"], read) == 0
