"""Simulated federations over Flower's runtime and Ray, and what they refuse."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import plans
from ophora_client.sent_log import SentLog
from ophora_client.site import Site
from ophora_deploy.cli import is_own_error
from ophora_deploy.errors import SimulationRefused
from ophora_deploy.federation_cli import app
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_deploy.simulation.run import simulate
from ophora_server.federation_settings import FederationSettings, SecureSumSettings
from ophora_server.run_folder import RunFolder


def ask(out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["simulate", "--out", str(out), *options])


def told(*stages: Any, **quorum: Any) -> FederationSettings:
    return plans.make_federation(*stages or [plans.make_stage("tpt", 1)], round_s=500.0, **quorum)


def in_file(folder: Path, settings: FederationSettings) -> str:
    settings.write(folder / "asked.toml")
    return str(folder / "asked.toml")


@pytest.mark.slow
def test_three_sites_tune_as_real_ones_do(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    out, privacy = tmp_path / "out", replace(plans.PRIVACY, sampling_rate=1.0)
    settings = in_file(tmp_path, told(plans.make_stage("tpt", 1, privacy), max_update_norm=1e3))
    options = ("--sites", "3", "--partition", "by-phase", "--patients", "1", "--clips", "2")
    result = ask(out, *options, "--settings", settings)
    assert result.exit_code == 0, result.output or result.exception
    (row,) = json.loads((out / "rounds.json").read_text())["rounds"]
    assert row["sites"] == 3
    assert row["update_norm"] > 0
    assert row["loss"] > 0
    assert (out / "rounds.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "releases" / "tpt" / "adapter.safetensors").is_file()
    for code in ("site-0001", "site-0002", "site-0003"):
        site = Site.open(out / "simulated-sites" / code)
        (spend,) = site.open_ledger().spends()
        assert (spend.run_id, spend.round) == ("run-1", 1)
        (sent,) = SentLog(site.logs_dir).messages()
        assert (sent.code, sent.metrics["epsilon"]) == ("ok", row["epsilon"])
        assert (out / "clips" / f"{code}.safetensors").is_file()
    status = CliRunner().invoke(app, ["status", "--run", str(out)])
    assert "1 of 1 rounds" in status.output


@pytest.mark.slow
def test_sites_without_tuning_go_on_where_they_were_stopped(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    out, plan = tmp_path / "out", SimulationPlan(sites=8, tuning=False)
    begun = told(plans.make_stage("tpt", 1), expected_sites=8)
    simulate(plan, begun, out, workers=1)
    longer = told(plans.make_stage("tpt", 3), expected_sites=8)
    heard: list[str] = []
    run = simulate(
        plan, longer, out, workers=1, on_event=lambda event: heard.append(event["event"])
    )
    assert heard.count("round-started") == 2
    assert heard.count("reply") == 2 * 8
    finished = [event for event in run.events() if event["event"] == "round-finished"]
    assert [len(event["sites"]) for event in finished] == [8, 8, 8]
    assert {event["update_norm"] for event in finished} != {0.0}
    assert not (out / "simulated-sites").exists()
    assert simulate(plan, longer, out, workers=1, on_event=pytest.fail) == run  # all is done
    with pytest.raises(SimulationRefused, match="was begun with sites=8"):
        simulate(replace(plan, sites=9), longer, out, workers=1)


def refusal(result: Result) -> str:
    assert result.exception is not None
    assert is_own_error(result.exception)
    return str(result.exception)


def test_a_simulation_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "out"
    settings = in_file(tmp_path, told(min_sites=3))
    assert "sites=2: must be >= quorum.min_sites=3" in refusal(
        ask(out, "--sites", "2", "--settings", settings)
    )
    assert "one of iid, by-phase, by-size" in refusal(ask(out, "--partition", "by-moon"))
    assert "rounds=0" in refusal(ask(out, "--rounds", "0"))
    assert "workers=0" in refusal(ask(out, "--workers", "0"))
    assert "has its own" in refusal(ask(out, "--rounds", "2", "--settings", settings))
    masked = replace(told(min_sites=3), secure_sum=SecureSumSettings())
    assert "secure_sum: can't be simulated" in refusal(
        ask(out, "--sites", "3", "--settings", in_file(tmp_path, masked))
    )
    assert not out.exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    run = RunFolder(path=tmp_path)
    told().write(run.settings_file)
    before = run.settings_file.read_bytes()
    assert "holds something else" in refusal(ask(tmp_path, "--no-tuning"))
    assert run.settings_file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["federation.toml"]


def test_without_ray_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ray" else find(name, *rest),
    )
    said = refusal(ask(tmp_path / "out"))
    assert said == 'Ray is not installed: pip install "ophora-federated[simulation]"'
    assert not (tmp_path / "out").exists()
