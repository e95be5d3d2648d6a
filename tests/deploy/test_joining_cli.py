"""The commands of joining, in the order in which two people give them, and both doctors."""

import datetime
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

import plans
from ophora_client.site import init_site
from ophora_deploy import doctor
from ophora_deploy.cli import build_app
from ophora_deploy.doctor import Check, check_run, check_site
from ophora_deploy.errors import JoiningFailed
from ophora_deploy.provisioning import make_server_identity

WIDE = {"COLUMNS": "200"}


def _run(*words: str, answer: str = "") -> str:
    result = CliRunner().invoke(
        build_app(), list(words), input=answer, env=WIDE, catch_exceptions=False
    )
    return f"{result.exit_code}\n{result.output}"


def _states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def test_a_hospital_joins_in_five_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, site = str(tmp_path / "run"), str(tmp_path / "site")
    set_up = _run("federation", "init", "--run", run, "--name", "coordinator.example")
    invited = _run("federation", "invite", "a", "--run", run, "--address", "localhost:9092")
    assert "a.kit" in invited
    assert stat.S_IMODE((tmp_path / "a.kit").stat().st_mode) == 0o600
    _run("site", "init", site, "--code", "a")
    joined = _run("site", "join", "a.kit", "--site", site, answer="y\n")
    key = set_up.splitlines()[2].partition(": ")[2]
    assert key in joined
    fingerprint = joined.splitlines()[-1]
    refused = _run("federation", "approve", "a.join", "--run", run, answer="n\n")
    assert refused.startswith("1\n")
    assert "nobody was let in" in refused
    approved = _run("federation", "approve", "a.join", "--run", run, answer="y\n")
    assert fingerprint in approved
    shown = _run("federation", "sites", "--run", run)
    assert fingerprint in shown
    assert "approved" in shown
    _run("federation", "revoke", "a", "--run", run)
    assert "revoked" in _run("federation", "sites", "--run", run)


def test_a_kit_whose_key_is_not_the_coordinators_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, site = str(tmp_path / "run"), tmp_path / "site"
    _run("federation", "init", "--run", run)
    _run("federation", "invite", "a", "--run", run, "--address", "localhost:9092")
    init_site(site, code="a")
    assert "nothing was kept" in _run("site", "join", "a.kit", "--site", str(site), answer="n\n")
    assert not (site / "federation.json").exists()
    with pytest.raises(JoiningFailed, match="has not joined"):
        _run("site", "serve", "--site", str(site))


def test_the_doctor_of_a_site_says_what_is_missing(tmp_path: Path) -> None:
    assert _states(list(check_site(tmp_path))) == {"settings": "fail"}
    init_site(tmp_path / "site", code="a")
    states = _states(list(check_site(tmp_path / "site")))
    assert states["membership"] == "fail"
    assert states["ledger"] == states["base"] == states["settings"] == "ok"
    (tmp_path / "site" / "ledger.sqlite").unlink()
    assert _states(list(check_site(tmp_path / "site")))["ledger"] == "fail"
    shown = _run("site", "doctor", "--site", str(tmp_path / "site"))
    assert shown.startswith("1\n")
    assert "join with a kit" in shown


def test_a_coordinator_that_does_not_answer_is_told_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, site = str(tmp_path / "run"), str(tmp_path / "site")
    _run("federation", "init", "--run", run)
    _run("federation", "invite", "a", "--run", run, "--address", "127.0.0.1:9")
    init_site(tmp_path / "site", code="a")
    _run("site", "join", "a.kit", "--site", site, "--yes")
    (found,) = [check for check in check_site(tmp_path / "site") if check.name == "coordinator"]
    assert found.state == "fail"
    assert "outbound TCP" in found.remedy


@pytest.mark.parametrize(("skew", "state"), [(0, "ok"), (30, "ok"), (120, "fail"), (-120, "fail")])
def test_clocks_that_are_apart_are_noticed(skew: int, state: str) -> None:
    from email.utils import format_datetime

    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=skew)
    assert doctor._clock("host:1", format_datetime(then)).state == state


@pytest.mark.parametrize(("days", "state"), [(365, "ok"), (20, "warn"), (0, "fail")])
def test_a_certificate_warns_before_it_ends(tmp_path: Path, days: int, state: str) -> None:
    identity = make_server_identity(tmp_path / "tls", days=days)
    assert doctor._certificate(identity.certificate, "server").state == state


def test_the_doctor_of_a_run_counts_members_and_compares_the_roster(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _run("federation", "init", "--run", str(run))
    assert _states(list(check_run(run)))["settings"] == "fail"
    settings = plans.make_federation(plans.make_stage("tpt", 1))
    settings.write(run / "federation.toml")
    assert _states(list(check_run(run)))["members"] == "fail"
    (run / "sites").mkdir()
    for code in ("a", "b"):
        (run / "sites" / f"{code}.pub").write_text("key")
    assert _states(list(check_run(run))) == {
        "settings": "ok",
        "authority": "ok",
        "server certificate": "ok",
        "members": "ok",
        "disk": "ok",
    }
