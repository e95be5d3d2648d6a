"""The thin app answers every message with our schema, also when everything is wrong with it."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

import plans
from ophora_client import client_app
from ophora_client.errors import Declined
from ophora_client.sent_log import SentLog
from ophora_client.site import init_site
from ophora_client.trainer_channel import TrainerReply
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Tensors
from plans import PRIVACY, TUNING

PLAN = RoundPlan(
    run_id="run-1",
    stage="tpt",
    round=1,
    preset="tiny",
    base_fingerprint="0" * 64,
    adapter=AdapterSpec(rank=3, alpha=3.0, targets=("to_q",), seed=1),
    tuning=TUNING,
    privacy=PRIVACY.to_dict(),
    code_version="0",
)
START = {"block.to_q": np.zeros((2, 3), np.float32)}


@pytest.fixture(autouse=True)
def _in_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower sets these in the processes that it starts for an app."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


class FakeChannel:
    """A trainer that answers with what the test says."""

    reply: TrainerReply | Exception

    def __init__(self, site: Path) -> None:
        assert (site / "site.toml").exists()

    def __enter__(self) -> "FakeChannel":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def tune(
        self,
        plan: str,
        start: Tensors,
        *,
        timeout_s: float,
        attempt: str = "",
        receipt: str = "",
    ) -> TrainerReply:
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    init_site(tmp_path / "site", code="a")
    monkeypatch.setenv(client_app.SITE_VARIABLE, str(tmp_path / "site"))
    monkeypatch.setattr(client_app, "TrainerChannel", FakeChannel)
    return tmp_path / "site"


def _ask(content: RecordDict | None = None) -> RecordDict:
    arrays = ArrayRecord({name: Array(value) for name, value in START.items()})
    given = content or RecordDict(
        {
            "plan": ConfigRecord({"plan": PLAN.to_json(), "attempt": "", "receipt": ""}),
            "adapter": arrays,
        }
    )
    message = Message(given, dst_node_id=1, message_type="train")
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})
    return client_app.app(message, context).content


def _reply(tensors: Mapping[str, Any], metrics: Mapping[str, Any]) -> TrainerReply:
    return TrainerReply(tensors=tensors, metrics=dict(metrics), receipt=plans.make_receipt(4))


def test_an_update_leaves_in_the_schema(site: Path) -> None:
    FakeChannel.reply = _reply({"block.to_q": np.ones((2, 3), np.float32)}, {"steps": 3})
    content = _ask()
    assert content.config_records["status"]["code"] == "ok"
    assert dict(content.metric_records["metrics"]) == {"steps": 3.0}
    assert content.array_records["update"]["block.to_q"].numpy().sum() == 6


def test_what_leaves_is_in_the_log_before(site: Path) -> None:
    FakeChannel.reply = _reply({"block.to_q": np.ones((2, 3), np.float32)}, {"steps": 3})
    _ask()
    FakeChannel.reply = Declined("budget", "epsilon=9")
    _ask()
    _ask(RecordDict({"x": ConfigRecord({"plan": "/etc"})}))
    messages = SentLog(site / "logs").messages()
    assert [(each.asked, each.code) for each in messages] == [
        ("train", "ok"), ("train", "budget"), ("train", "internal-error"),
    ]  # fmt: skip
    assert messages[0].about == {"run_id": PLAN.run_id, "stage": PLAN.stage, "round": PLAN.round}
    assert messages[2].about == {}


def test_what_cannot_be_noted_does_not_leave(site: Path) -> None:
    (site / "logs" / "sent.jsonl").mkdir(parents=True)
    FakeChannel.reply = _reply({"block.to_q": np.ones((2, 3), np.float32)}, {"steps": 3})
    assert dict(_ask().config_records["status"]) == {"code": "internal-error"}


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Declined("budget", "epsilon=9: Mrs Secret"), "budget"),
        (Declined("Mrs Secret", "x"), "internal-error"),
        (ValueError("Mrs Secret"), "internal-error"),
        (_reply({"block.to_q": np.ones((2, 3))}, {}), "internal-error"),
        (_reply({"Mrs Secret": np.ones((2, 3), np.float32)}, {}), "internal-error"),
        (_reply({"block.to_q": np.ones((2, 3), np.float32)}, {"loss": 0.1}), "internal-error"),
        (_reply({"block.to_q": np.ones((2, 3), np.float32)}, {"note": "x"}), "internal-error"),
    ],
)
def test_whatever_goes_wrong_a_code_leaves_and_nothing_else(
    site: Path, reply: TrainerReply | Exception, code: str
) -> None:
    FakeChannel.reply = reply
    content = _ask()
    assert set(content) == {"status"}
    assert dict(content.config_records["status"]) == {"code": code}


def test_a_message_that_is_none_of_ours_or_a_missing_site(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _ask(RecordDict({"x": ConfigRecord({"site": "/etc"})}))["status"]["code"] == (
        "internal-error"
    )
    monkeypatch.setenv(client_app.SITE_VARIABLE, str(site / "absent"))
    assert _ask()["status"]["code"] == "internal-error"


def test_a_loss_leaves_when_the_site_says_so(site: Path) -> None:
    settings = site / "site.toml"
    settings.write_text(settings.read_text() + "\n[privacy]\nshare_loss = true\n")
    FakeChannel.reply = _reply({"block.to_q": np.ones((2, 3), np.float32)}, {"loss": 0.5})
    assert dict(_ask().metric_records["metrics"]) == {"loss": 0.5}


def test_the_bundle_names_this_app_and_brings_no_code() -> None:
    bundle = Path(__file__).resolve().parents[2] / "deploy" / "ophora_deploy" / "flower_app"
    assert sorted(path.name for path in bundle.iterdir()) == ["LICENSE", "pyproject.toml"]
    text = (bundle / "pyproject.toml").read_text()
    assert 'clientapp = "ophora_client.client_app:app"' in text
    assert importlib.metadata.version("flwr").startswith("1.41.")
