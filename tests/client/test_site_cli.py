import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ophora_client.errors import SiteMissing
from ophora_client.site import init_site
from ophora_client.site_cli import app
from ophora_curation.errors import NotAFolder

SMALL = {"curation": {"min_width": 64, "min_height": 48}}


def living(group: int) -> list[int]:
    """Processes of a group that have not ended; one that only waits to be reaped has."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def test_init_then_status_of_an_empty_site(tmp_path: Path) -> None:
    site = tmp_path / "site"
    made = CliRunner().invoke(app, ["init", str(site), "--code", "site-a"])
    assert made.exit_code == 0
    assert "site site-a is ready" in made.output
    shown = CliRunner().invoke(app, ["status", "--site", str(site)])
    assert shown.exit_code == 0
    assert "nothing curated yet" in shown.output


def test_missing_folders_stop_at_once(tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["status", "--site", str(tmp_path)])
    assert isinstance(missing.exception, SiteMissing)
    init_site(tmp_path / "site", code="a")
    arguments = ["curate", str(tmp_path / "none"), "--site", str(tmp_path / "site")]
    assert isinstance(CliRunner().invoke(app, arguments).exception, NotAFolder)


@pytest.mark.slow
def test_curate_tells_reasons_and_no_names(tmp_path: Path) -> None:
    patient = tmp_path / "videos" / "Poe_Mary_MRN4711"
    patient.mkdir(parents=True)
    (patient / "Poe_empty.mp4").touch()
    (patient / "Poe_text.mp4").write_text("Mary Poe")
    init_site(tmp_path / "site", code="a", profile=SMALL)
    arguments = ["curate", str(tmp_path / "videos"), "--site", str(tmp_path / "site")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "2 files: 0 curated, 2 refused" in result.output
    assert "not-a-video" in result.output
    log = (tmp_path / "site" / "logs" / "curation.log").read_text()
    assert log.count("status=refused") == 2
    assert "Poe" not in log + result.output


@pytest.mark.slow
def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    patient = tmp_path / "videos" / "p"
    patient.mkdir(parents=True)
    for number in range(4000):  # more than the second until Ctrl-C is enough for
        (patient / f"{number}.mp4").write_bytes(b"x" * number)
    init_site(tmp_path / "site", code="a", profile={"execution": {"workers": 2}})
    arguments = ["site", "curate", str(tmp_path / "videos"), "--site", str(tmp_path / "site")]
    code = "import sys; from ophora_deploy.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    manifest = tmp_path / "site" / "manifest.sqlite"
    deadline = time.monotonic() + 20
    while not manifest.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    assert b"Traceback" not in errors
    deadline = time.monotonic() + 10
    while living(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)  # Python's own resource tracker ends a moment after its parent
    assert living(process.pid) == []
