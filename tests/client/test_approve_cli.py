"""`ophora site approve`: figures and thresholds are shown before anything is signed."""

import json
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from gating import complete, make_figure, write_plain_release
from ophora_client.approve_cli import approve
from ophora_client.errors import SiteMissing
from ophora_client.site import init_site
from ophora_model.errors import AdapterMismatch

app = typer.Typer()
app.command()(approve)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return complete(
        write_plain_release(tmp_path / "p2ft"),
        make_figure("membership", "site-a.pia.auc", 0.5312),
        make_figure("iris", "site-b.rate", None),
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return init_site(tmp_path / "site", code="site-a").folder


def _run(release: Path, site: Path, *options: str, typed: str = "") -> Result:
    runner = CliRunner(env={"COLUMNS": "160"})
    return runner.invoke(app, [str(release), "--site", str(site), *options], input=typed)


def test_the_figures_and_thresholds_are_shown_and_the_word_is_signed(
    release: Path, site: Path
) -> None:
    done = _run(release, site, typed="y\n")
    assert done.exit_code == 0, done.output
    for shown in ("site-a.pia.auc", "0.5312", "max_membership_auc", "epsilon 4 at delta 0.0001"):
        assert shown in done.output
    assert "approve: signed in approvals/site-a.json" in done.output
    record = json.loads((release / "approvals" / "site-a.json").read_text())
    assert record["approval"]["decision"] == "approve"
    assert record["public_key"] == (site / "identity.pub").read_text().strip()
    assert record["public_key"] in done.output


def test_a_rejection_is_signed_as_one(release: Path, site: Path) -> None:
    assert _run(release, site, "--reject", "--yes").exit_code == 0
    record = json.loads((release / "approvals" / "site-a.json").read_text())
    assert record["approval"]["decision"] == "reject"


def test_a_no_signs_nothing_and_makes_no_key(release: Path, site: Path) -> None:
    done = _run(release, site, typed="n\n")
    assert (done.exit_code, "nothing was signed" in done.output) == (1, True)
    assert not (release / "approvals").exists()
    assert not (site / "identity.key").exists()


def test_a_release_that_was_changed_is_not_signed(release: Path, site: Path) -> None:
    path = release / "adapter.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = _run(release, site, "--yes")
    assert isinstance(done.exception, AdapterMismatch)
    assert not (release / "approvals").exists()


def test_only_a_site_signs(release: Path, tmp_path: Path) -> None:
    assert isinstance(_run(release, tmp_path / "nowhere", "--yes").exception, SiteMissing)


def test_a_foreign_file_can_not_draw_on_the_terminal(release: Path, site: Path) -> None:
    path = release / "evidence.json"
    given = json.loads(path.read_text())
    given["figures"][0]["name"] = "[red]fine[/red]\u001b[2J" + "x" * 500
    path.write_text(json.dumps(given, indent=2, sort_keys=True) + "\n")
    shown = _run(release, site, "--yes").output
    assert "\u001b[2J" not in shown
    assert "[red]fine[/red]?[2J" in shown
