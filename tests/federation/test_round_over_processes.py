"""Whole rounds over real processes: SuperLink with TLS, front, SuperNodes with keys, trainers."""

import hashlib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ophora_client.site import init_site
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, VideoOutcome, VideoRow
from ophora_deploy.canaries import find_canaries
from ophora_deploy.errors import FederationFailed
from ophora_deploy.federation import LocalSite, run_federation
from ophora_model.release import read_release
from ophora_model.video import write_video
from ophora_privacy.ledger import Ledger
from ophora_server.federation_settings import FederationSettings
from ophora_server.run_folder import RunFolder
from plans import make_federation, make_stage

pytestmark = pytest.mark.slow

PLANTED = ["Marta Kowalczyk", "MRN 4711223", "14 March 1957"]
NUM_PATIENTS = 3


def _make_site(folder: Path, code: str) -> LocalSite:
    """A curated site of three patients whose instructions were badly de-identified on purpose."""
    site = init_site(folder, code=code, profile={"privacy": {"epsilon_cap": 100.0}})
    rng = np.random.default_rng(len(code))
    with Manifest.open(site.manifest_path) as manifest:
        for number in range(NUM_PATIENTS):
            name = f"{code}{number}"
            path = site.clips_dir / f"{name}.mp4"
            write_video(path, rng.integers(0, 255, (9, 64, 96, 3), dtype=np.uint8), 2.0)
            video = VideoRow(
                video_id=name, patient_id=name, sha256=name, recipe="test", status="curated"
            )
            clip = ClipRow(
                clip_id=name,
                video_id=name,
                patient_id=name,
                tier="p2ft",
                reasons=(),
                instruction=f"{PLANTED[number]}: make the incision",
                phase="incision",
                start_s=0.0,
                end_s=4.0,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            manifest.commit(VideoOutcome(video=video, clips=(clip,)))
    return LocalSite(code=code, folder=folder)


def _settings(rounds: int) -> FederationSettings:
    quorum = {"expected_sites": 2, "wait_s": 90.0, "round_s": 120.0}
    return make_federation(make_stage("tpt", rounds), **quorum)


def _status(address: str, authority: Path, path: str) -> int:
    trusted = ssl.create_default_context(cafile=str(authority))
    request = urllib.request.Request(f"https://{address}{path}", data=b"", method="POST")
    try:
        with urllib.request.urlopen(request, context=trusted, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _processes_about(folder: Path) -> list[str]:
    """Command lines and environments of live processes that name the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            about = command + (entry / "environ").read_bytes()
        except (OSError, NotADirectoryError):
            continue
        if str(folder).encode() in about and command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def test_two_rounds_then_a_resumed_third_over_real_processes(tmp_path: Path) -> None:
    sites = [_make_site(tmp_path / code, code) for code in ("a", "b")]
    run = RunFolder(path=tmp_path / "run")
    run.path.mkdir()
    wire = tmp_path / "wire.bin"
    _settings(rounds=2).write(run.settings_file)
    events: list[Mapping[str, Any]] = []
    refused: list[int] = []

    def on_event(event: Mapping[str, Any]) -> None:
        events.append(event)
        if event["event"] == "coordinator-ready":
            for path in ("/v1/control/list-runs", "/v1/runtime/acquire-task"):
                refused.append(_status(event["address"], run.tls / "ca.crt", path))

    run_federation(run, sites, on_event, record_wire=wire)

    assert refused == [403, 403]
    finished = [event for event in events if event["event"] == "round-finished"]
    assert [event["round"] for event in finished] == [1, 2]
    assert all(event["sites"] == ["a", "b"] for event in finished)
    assert any(event["event"] == "progress" and event["site"] == "a" for event in events)
    release = read_release(run.releases / "tpt")
    assert release.round == 2
    assert any(np.any(tensor) for tensor in release.tensors.values())
    _check_counted_bytes(finished[0], wire)

    _settings(rounds=3).write(run.settings_file)
    resumed: list[Mapping[str, Any]] = []
    run_federation(run, sites, resumed.append, record_wire=wire)
    assert [e["round"] for e in resumed if e["event"] == "round-finished"] == [3]
    assert read_release(run.releases / "tpt").round == 3
    for site in sites:
        spends = Ledger(
            site.folder / "ledger.sqlite", site=site.code, cap=100.0, delta=1e-5
        ).spends()
        assert [(spend.round, spend.settled) for spend in spends] == [
            (1, True),
            (2, True),
            (3, True),
        ]

    _another_app_is_refused_by_the_site_that_did_not_agree_to_it(run, sites)

    logs = [site.folder / "logs" for site in sites]
    assert find_canaries(PLANTED, [run.path, wire, *logs]) == []
    # the search and the record do see what is there: the plan of each round was answered
    assert find_canaries(["attn1.to_q"], [wire])
    assert find_canaries(PLANTED, [sites[0].folder / "manifest.sqlite"])
    assert _processes_about(tmp_path) == []


def _another_app_is_refused_by_the_site_that_did_not_agree_to_it(
    run: RunFolder, sites: list[LocalSite]
) -> None:
    _settings(rounds=4).write(run.settings_file)
    wary = [sites[0], replace(sites[1], bundle="00" * 32)]
    events: list[Mapping[str, Any]] = []
    with pytest.raises(FederationFailed, match="1 updates of 2 needed"):
        run_federation(run, wary, events.append)
    codes = {event["site"]: event["code"] for event in events if event["event"] == "reply"}
    assert codes == {"a": "ok", "b": "lost"}


def _check_counted_bytes(event: Mapping[str, Any], wire: Path) -> None:
    """Counted payload is what was sent, within framing: two sites, two rounds, one way."""
    for site in ("a", "b"):
        assert event["bytes_received"][site] > 1000
        assert 0.5 < event["bytes_sent"][site] / event["bytes_received"][site] < 2
    counted = 2 * sum(event["bytes_received"].values())
    assert counted < wire.stat().st_size < 3 * counted + 500_000
