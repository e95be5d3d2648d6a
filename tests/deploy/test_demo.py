"""The demo, small but whole: real videos and processes, a report, nothing personal outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from ophora_deploy.canaries import search_canaries
from ophora_deploy.demo.plan import DemoPlan, StagePlan
from ophora_deploy.demo.run import run_demo
from ophora_deploy.errors import DemoFolderInUse

SMALL = DemoPlan(
    seed=3,
    epsilon=None,
    patients_per_site=2,
    segments=(5, 6),
    speech_share=0.0,
    fault_share=0.0,
    tpt=StagePlan(rounds=1, steps=2, learning_rate=1e-3),
    p2ft=StagePlan(rounds=1, steps=2, learning_rate=1e-3),
    sampling_rate=1.0,
    videos_per_phase=1,
    judge_clips_per_phase=4,
    judge_epochs=1,
)


@pytest.mark.slow
def test_a_small_demo_reports_and_lets_nothing_personal_out(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    with (tmp_path / "terminal.txt").open("w") as terminal:
        findings = run_demo(SMALL, out, Console(file=terminal))
    report = json.loads((out / "report.json").read_text())
    for model in ("base", "tpt", "p2ft"):
        assert report["phase_match"][model]["samples"] == 12
        assert report["overlay_rate"][model]["samples"] == 12
    assert report["bytes_sent"] == {"value": findings.bytes_sent, "samples": 6}
    assert findings.bytes_sent > 6 * 4 * 793_600  # every update has all trained numbers
    assert report["canaries"]["planted"] > 30
    assert report["canaries"]["found"] == 0
    assert all(site["tiers"].get("p2ft", 0) > 0 for site in report["sites"].values())
    assert (out / "asked-for.mp4").read_bytes()[4:8] == b"ftyp"
    page = (out / "report.html").read_text()
    assert "Phacoemulsification" in page
    assert "no bound worth the name" in page
    _the_same_search_finds_what_is_let_through(out)


def _the_same_search_finds_what_is_let_through(out: Path) -> None:
    """The search is able to fail: the sites' raw videos are full of what it looks for."""
    truth = next(out.rglob("*.truth.json"))
    planted = json.loads(truth.read_text())["planted"]
    assert search_canaries(planted, [out / "sites"]).hits
    leak = out / "coordinator" / "logs" / "leak.log"
    leak.write_text(f"update of {planted[0]} accepted")
    assert search_canaries(planted, [out / "coordinator"]).hits


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    demo = subprocess.Popen(
        [sys.executable, "-m", "ophora_deploy.cli", "demo", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while len(_processes_of(demo.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(_processes_of(demo.pid)) >= 3  # the demo and its workers
        os.killpg(demo.pid, signal.SIGINT)  # what a terminal does
        assert demo.wait(timeout=30) == 130
        time.sleep(0.5)
        assert _processes_of(demo.pid) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)
        demo.wait()


def _processes_of(session: int) -> list[int]:
    """Live processes of a session, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, NotADirectoryError):
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DemoFolderInUse, match="name another folder"):
        run_demo(SMALL, tmp_path, Console(quiet=True))
    assert (tmp_path / "thesis.txt").read_text() == "precious"
