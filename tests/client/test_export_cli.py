import sqlite3
from pathlib import Path

import typer
from typer.testing import CliRunner

from ophora_client.export_cli import export
from ophora_client.site import init_site
from ophora_curation.store.export import ExportRefused
from reviewed_site import make_site

app = typer.Typer()
app.command()(export)


def test_an_export_says_what_it_holds_and_that_it_stays(tmp_path: Path) -> None:
    make_site(tmp_path / "site")
    arguments = ["--site", str(tmp_path / "site"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--format", "webdataset", "--tier", "tpt"])
    assert result.exit_code == 0, result.output
    assert "1 clips of 1 videos in 1 files" in result.output
    assert "stays at the site" in result.output
    assert (tmp_path / "out" / "clips-000000.tar").is_file()


def test_a_tier_that_nobody_decided_stops_the_export(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    with sqlite3.connect(site.manifest_path) as database:
        database.execute("UPDATE clips SET tier = 'p2ft' WHERE tier = 'quarantine'")
    database.close()
    arguments = ["--site", str(site.folder), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--format", "parquet"])
    assert isinstance(result.exception, ExportRefused)
    assert "tier: 3" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_site_without_clips_says_so(tmp_path: Path) -> None:
    init_site(tmp_path / "site", code="a")
    arguments = ["--site", str(tmp_path / "site"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--format", "parquet"])
    assert (result.exit_code, "nothing curated yet" in result.output) == (1, True)
