"""`ophora federation policy | gate | publish | verify`, as one goes through them."""

from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from gating import ROSTER, complete, make_figure, say, write_plain_release
from ophora_deploy.gate_cli import gate, policy_app, publish, verify
from ophora_model.errors import PlanInvalid
from ophora_server.errors import InvalidFederation, RecordInvalid, ReleaseHeld, ReleaseUntrusted
from ophora_server.release_policy import CoordinatorKey

POLICY = """
max_membership_auc = 0.6
max_membership_tpr = 0.03
max_replication_rate = 0.01
max_iris_rate = 0.01
max_readable_overlays = 0
max_epsilon = 8
max_delta = 1e-3
min_sites = 2
min_approvals = 2
required = ["membership", "canary", "replication", "iris", "overlay"]
[min_samples]
membership = 100
canary = 100
replication = 100
iris = 100
overlay = 100
"""


class Desk:
    """The coordinator's files, and the commands on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, self.trust = folder / "coordinator.key", folder / "coordinator.pub"
        self.release, self.out = folder / "p2ft", folder / "out"
        self.roster = folder / "roster.toml"
        sites = "".join(f'{site} = "{key}"\n' for site, key in ROSTER.keys.items())
        self.roster.write_text(f"[sites]\n{sites}")
        self.policy = folder / "policy.toml"
        self.policy.write_text(POLICY)
        self.app = typer.Typer()
        self.app.add_typer(policy_app, name="policy")
        for command in (gate, publish, verify):
            self.app.command()(command)

    def __call__(self, *arguments: object) -> Result:
        runner = CliRunner(env={"COLUMNS": "200"})
        return runner.invoke(self.app, [str(each) for each in arguments])

    def sign(self) -> Result:
        target = self.release / "policy.json"
        return self("policy", "sign", self.policy, "--key", self.key, "--out", target)

    def gate(self) -> Result:
        return self("gate", self.release, "--roster", self.roster, "--trust", self.trust)

    def publish(self) -> Result:
        keys = ("--key", self.key, "--roster", self.roster)
        return self("publish", self.release, self.out, *keys)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A measured release with a signed policy; no site has spoken."""
    made = Desk(tmp_path)
    complete(write_plain_release(made.release))
    assert made.sign().exit_code == 0
    return made


def test_a_release_goes_from_a_policy_to_a_verified_folder(desk: Desk) -> None:
    first = desk.gate()
    assert first.exit_code == 1
    assert "at least 2 sites needed" in first.output
    assert "the gate does not hold: 11 of 12 thresholds; approved by nobody" in first.output
    for site in ("site-a", "site-b"):
        say(desk.release, site)
    held = desk.gate()
    assert held.exit_code == 0, held.output
    for shown in ("membership AUC", "0.519 to 0.521", "at most 0.6", "the gate holds: 12 of 12"):
        assert shown in held.output
    published = desk.publish()
    assert published.exit_code == 0, published.output
    verified = desk("verify", desk.out, "--trust", desk.trust)
    assert verified.exit_code == 0, verified.output
    assert "signed and unchanged; the gate holds" in verified.output
    assert "--roster compares them" in verified.output
    known = desk("verify", desk.out, "--trust", desk.trust, "--roster", desk.roster)
    assert "--roster compares them" not in known.output


def test_a_release_that_does_not_hold_is_not_published(desk: Desk) -> None:
    assert isinstance(desk.publish().exception, ReleaseHeld)
    assert not desk.out.exists()


def test_the_row_that_does_not_hold_says_why(desk: Desk) -> None:
    complete(desk.release, make_figure("membership", "site-a.pia.auc", 0.71))
    desk.sign()
    for site in ("site-a", "site-b"):
        say(desk.release, site)
    done = desk.gate()
    assert done.exit_code == 1
    assert "must be at most 0.6; 1 of 2 figures fail; membership site-a.pia.auc" in done.output


def test_a_changed_folder_is_not_verified(desk: Desk) -> None:
    for site in ("site-a", "site-b"):
        say(desk.release, site)
    desk.publish()
    card = desk.out / "MODEL_CARD.md"
    card.write_text(card.read_text().replace("No ", "Any ") + " ")
    done = desk("verify", desk.out, "--trust", desk.trust)
    assert isinstance(done.exception, ReleaseUntrusted)


def test_a_policy_is_shown_where_its_key_is_trusted(desk: Desk, tmp_path: Path) -> None:
    path = desk.release / "policy.json"
    shown = desk("policy", "show", path, "--trust", desk.trust)
    assert shown.exit_code == 0, shown.output
    assert "max_membership_auc" in shown.output
    assert "membership 100" in shown.output
    CoordinatorKey.make(tmp_path / "other.key")
    other = desk("policy", "show", path, "--trust", tmp_path / "other.pub")
    assert isinstance(other.exception, RecordInvalid)


def test_a_policy_of_one_approval_is_not_signed(desk: Desk) -> None:
    desk.policy.write_text(POLICY.replace("min_approvals = 2", "min_approvals = 1"))
    before = (desk.release / "policy.json").read_bytes()
    done = desk.sign()
    assert isinstance(done.exception, RecordInvalid)
    assert "min_approvals=1" in str(done.exception)
    assert (desk.release / "policy.json").read_bytes() == before


def test_publishing_makes_no_key_and_replaces_no_folder(desk: Desk, tmp_path: Path) -> None:
    for site in ("site-a", "site-b"):
        say(desk.release, site)
    other = tmp_path / "other.key"
    keys = ("--key", other, "--roster", desk.roster)
    done = desk("publish", desk.release, desk.out, *keys)
    assert isinstance(done.exception, InvalidFederation)
    assert not other.exists()
    desk.out.mkdir()
    assert isinstance(desk.publish().exception, PlanInvalid)
