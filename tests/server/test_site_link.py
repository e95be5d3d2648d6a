"""What comes over Flower's wire becomes a reply or a code; nothing in it raises or is written."""

import io
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from ophora_server.site_link import GridLink

TENSORS = {"block.to_q": np.arange(6, dtype=np.float32).reshape(2, 3)}
METRICS = {"steps": 3, "seconds": 1.0, "epsilon": float("inf"), "delta": 1e-5}


@pytest.fixture(autouse=True)
def _in_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower sets these in the processes that it starts for an app."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


class FakeGrid:
    """Keeps what was pushed; hands out what it is told to."""

    def __init__(self) -> None:
        self.pushed: list[Message] = []
        self.reply: Message | None = None

    def get_node_ids(self) -> list[int]:
        return [1, 2, 99]

    def push_messages(self, messages: list[Message]) -> list[str]:
        self.pushed += messages
        return ["request"]

    def pull_messages(self, requests: list[str]) -> list[Message]:
        return [] if self.reply is None else [self.reply]


def _sent() -> tuple[GridLink, FakeGrid, int]:
    grid = FakeGrid()
    link = GridLink(cast(Grid, grid), {1: "a", 2: "b"})
    _, num_bytes = link.send(1, '{"plan": 1}', TENSORS, ttl_s=60.0)
    return link, grid, num_bytes


def _content(code: Any = "ok", metrics: Any = METRICS, tensors: Any = TENSORS) -> RecordDict:
    return RecordDict(
        {
            "status": ConfigRecord({"code": code}),
            "metrics": MetricRecord(metrics),
            "update": ArrayRecord({name: Array(value) for name, value in tensors.items()}),
        }
    )


def test_only_registered_sites_are_asked() -> None:
    link, _, _ = _sent()
    assert link.sites() == {1: "a", 2: "b"}


def test_a_request_carries_plan_and_tensors_and_counts_them() -> None:
    _, grid, num_bytes = _sent()
    content = grid.pushed[0].content
    assert content.config_records["plan"]["plan"] == '{"plan": 1}'
    assert np.array_equal(
        content.array_records["adapter"]["block.to_q"].numpy(), TENSORS["block.to_q"]
    )
    assert 24 + len("block.to_q") + len('{"plan": 1}') < num_bytes < 400


def test_a_reply_is_read_once_it_is_there() -> None:
    link, grid, _ = _sent()
    assert link.poll("request") is None
    grid.reply = Message(_content(), reply_to=grid.pushed[0])
    reply = link.poll("request")
    assert reply is not None
    assert (reply.code, dict(reply.metrics)) == ("ok", {k: float(v) for k, v in METRICS.items()})
    assert np.array_equal(reply.tensors["block.to_q"], TENSORS["block.to_q"])


def _not_an_array(data: bytes) -> RecordDict:
    content = _content()
    content["update"] = ArrayRecord(
        {"block.to_q": Array(dtype="float32", shape=(2, 3), stype="numpy.ndarray", data=data)}
    )
    return content


def _archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **TENSORS)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (RecordDict({}), "malformed"),
        (_content(code=7), "malformed"),
        (_content(metrics={"patients": 12}), "malformed"),
        (_content(metrics={"steps": [1, 2]}), "malformed"),
        (_not_an_array(b"junk"), "malformed"),
        (_not_an_array(_archive()), "malformed"),
        (_not_an_array(b"PK\x03\x04junk"), "malformed"),
        (_not_an_array(b"\x93NUMPY\x01\x00\x06\x00{'a':("), "malformed"),
        (_content(code="budget"), "budget"),
        (_content(code="Mrs Secret, born 1957"), "malformed"),
        (_content(code="x" * 100), "malformed"),
    ],
)
def test_anything_else_is_a_code_without_an_update(content: RecordDict, code: str) -> None:
    link, grid, _ = _sent()
    grid.reply = Message(content, reply_to=grid.pushed[0])
    reply = link.poll("request")
    assert reply is not None
    assert (reply.code, dict(reply.tensors), dict(reply.metrics)) == (code, {}, {})


def test_flowers_own_error_loses_its_text() -> None:
    link, grid, _ = _sent()
    grid.reply = Message(Error(code=0, reason="Mrs Secret"), reply_to=grid.pushed[0])
    reply = link.poll("request")
    assert reply is not None
    assert reply.code == "lost"


def test_an_exchange_of_a_secure_sum_goes_out_as_an_array_and_comes_back_as_bytes() -> None:
    link, grid, _ = _sent()
    _, num_bytes = link.exchange(1, "attempt", "confirm", b"to the site", ttl_s=60.0)
    sent = grid.pushed[-1]
    assert sent.metadata.message_type == "query.secure_sum"
    assert dict(sent.content.config_records["exchange"]) == {
        "attempt": "attempt",
        "exchange": "confirm",
    }
    body = sent.content.array_records["message"]["message"].numpy()
    assert body.tobytes() == b"to the site"
    assert num_bytes == len(b"to the site") + len("attempt") + len("confirm")
    grid.reply = Message(_answer(np.frombuffer(b"from it", np.uint8)), reply_to=sent)
    reply = link.poll("request")
    assert reply is not None
    assert (reply.code, reply.message, reply.tensors) == ("ok", b"from it", {})
    assert reply.receipt == "{}"


def _answer(body: Any, **more: Any) -> RecordDict:
    arrays = ArrayRecord({"message": Array(body), **more})
    return RecordDict(
        {
            "status": ConfigRecord({"code": "ok"}),
            "metrics": MetricRecord({}),
            "receipt": ConfigRecord({"receipt": "{}"}),
            "secure-sum": arrays,
        }
    )


def _changed(**records: Any) -> RecordDict:
    return RecordDict({**_answer(np.zeros(3, np.uint8)), **records})


@pytest.mark.parametrize(
    "content",
    [
        _answer(np.zeros(3, np.float32)),
        _answer(np.zeros((2, 2), np.uint8)),
        _answer(np.zeros(3, np.uint8), more=Array(np.zeros(3, np.uint8))),
        _changed(receipt=ConfigRecord({"receipt": "x" * 5000})),
        _changed(receipt=ConfigRecord({"receipt": 3})),
        _changed(update=ArrayRecord({"a": Array(np.zeros(2))})),
    ],
)
def test_a_message_or_receipt_of_another_form_is_malformed(content: RecordDict) -> None:
    link, grid, _ = _sent()
    grid.reply = Message(content, reply_to=grid.pushed[0])
    reply = link.poll("request")
    assert reply is not None
    assert (reply.code, reply.message) == ("malformed", b"")
