"""Nothing but the closed schema leaves, whatever is offered."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plans
from ophora_client.egress import (
    ALLOWED_METRICS,
    DECLINE_CODES,
    Outgoing,
    outgoing_advert,
    outgoing_answer,
    outgoing_decline,
    outgoing_update,
    pack,
)
from ophora_client.errors import EgressRefused
from ophora_privacy.secure_sum.messages import (
    Confirmation,
    KeyAdvert,
    MaskedInput,
    SharedKeys,
    UnmaskShares,
)

ANNOUNCED = {"a": (2, 3), "b": (4,)}
RECEIPT = plans.make_receipt(3)
GOOD = {name: np.ones(shape, np.float32) for name, shape in ANNOUNCED.items()}
METRICS = {"steps": 10, "seconds": 1.5, "epsilon": 2.0, "delta": 1e-5}

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.lists(st.text(max_size=5), max_size=3),
    st.just(np.array("name")),
    st.just(np.float64(1.0)),
    st.just(np.array(["Smith"], object)),
)
keys = st.one_of(st.sampled_from([*ALLOWED_METRICS, "loss", "name"]), st.text(max_size=10))


@settings(deadline=None, max_examples=400)
@given(st.dictionaries(keys, anything, max_size=5), st.booleans())
def test_only_allowed_finite_scalars_pass(metrics: dict[str, Any], share_loss: bool) -> None:
    allowed = {*ALLOWED_METRICS, "loss"} if share_loss else set(ALLOWED_METRICS)
    fits = all(
        name in allowed
        and type(value) in (int, float)
        and (math.isfinite(value) or (name == "epsilon" and value == math.inf))
        for name, value in metrics.items()
    )
    if not fits:
        with pytest.raises(EgressRefused):
            outgoing_update(
                GOOD, metrics, announced=ANNOUNCED, share_loss=share_loss, receipt=RECEIPT
            )
        return
    content = pack(
        outgoing_update(GOOD, metrics, announced=ANNOUNCED, share_loss=share_loss, receipt=RECEIPT)
    )
    assert dict(content["metrics"]) == {name: float(value) for name, value in metrics.items()}


tensors = st.one_of(
    st.just(np.ones((2, 3), np.float32)),
    st.just(np.ones((2, 3), np.float64)),
    st.just(np.ones((3, 2), np.float32)),
    st.just(np.ones((2, 3), np.uint8)),
    st.just(np.full((2, 3), np.nan, np.float32)),
    st.just(np.full((2, 3), -np.inf, np.float32)),
    st.just(np.array([["a"] * 3] * 2, object)),
    st.just([[1.0, 1.0, 1.0]] * 2),
    st.just(np.ma.masked_array(np.ones((2, 3), np.float32))),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "patient"]), tensors, max_size=3))
def test_only_the_announced_float32_tensors_pass(offered: dict[str, Any]) -> None:
    good = offered.get("a")
    fits = (
        set(offered) == {"a"}
        and type(good) is np.ndarray
        and good.dtype == np.float32
        and good.shape == (2, 3)
        and bool(np.isfinite(good).all())
    )
    if fits:
        outgoing_update(offered, {}, announced={"a": (2, 3)}, share_loss=False, receipt=RECEIPT)
    else:
        with pytest.raises(EgressRefused):
            outgoing_update(offered, {}, announced={"a": (2, 3)}, share_loss=False, receipt=RECEIPT)


def test_a_packed_message_holds_nothing_beside_the_schema() -> None:
    content = pack(
        outgoing_update(GOOD, METRICS, announced=ANNOUNCED, share_loss=False, receipt=RECEIPT)
    )
    assert set(content) == {"status", "update", "metrics", "receipt"}
    assert dict(content["receipt"]) == {"receipt": RECEIPT}
    assert dict(content["status"]) == {"code": "ok"}
    assert set(content["update"]) == set(ANNOUNCED)
    declined = pack(outgoing_decline("budget"))
    assert set(declined) == {"status"}


@settings(deadline=None)
@given(st.text())
def test_a_decline_is_one_of_the_codes(code: str) -> None:
    if code not in DECLINE_CODES:
        with pytest.raises(EgressRefused):
            outgoing_decline(code)


def test_an_error_names_no_value_and_only_this_module_makes_a_message() -> None:
    with pytest.raises(EgressRefused) as refused:
        outgoing_update(
            {"Mrs Smith": GOOD["a"]},
            {"MRN 12": 1.0},
            announced=ANNOUNCED,
            share_loss=False,
            receipt=RECEIPT,
        )
    assert "Smith" not in str(refused.value)
    with pytest.raises(EgressRefused):
        pack({"status": "ok"})  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Outgoing(code="ok", tensors={}, metrics={}, made_by=None)


@pytest.mark.parametrize("receipt", ["", "Mrs Smith", "{}", RECEIPT[:-1] + ', "name": "x"}', 3])
def test_a_receipt_is_the_ledgers_and_nothing_else(receipt: Any) -> None:
    with pytest.raises(EgressRefused) as refused:
        outgoing_update(GOOD, METRICS, announced=ANNOUNCED, share_loss=False, receipt=receipt)
    assert "Smith" not in str(refused.value)


def _answers() -> dict[str, bytes]:
    tag, sender = bytes(32), "a"
    return {
        "share-keys": SharedKeys(tag=tag, sender=sender, sealed=()).to_bytes(),
        "masked-input": MaskedInput(tag=tag, sender=sender, words=b"1234").to_bytes(),
        "confirm": Confirmation(tag=tag, sender=sender, signature=bytes(64)).to_bytes(),
        "unmask": UnmaskShares(tag=tag, sender=sender, self_seeds=(), mask_keys=()).to_bytes(),
    }


def test_an_answer_of_a_secure_sum_is_of_the_kind_that_was_asked_for() -> None:
    for exchange, message in _answers().items():
        content = pack(outgoing_answer(exchange, message))
        assert set(content) == {"status", "secure-sum", "metrics"}
        assert set(content["secure-sum"]) == {"message"}
        assert content["secure-sum"]["message"].numpy().tobytes() == message
        for other, another in _answers().items():
            if other != exchange:
                with pytest.raises(EgressRefused):
                    outgoing_answer(exchange, another)
        for spoilt in (b"", message[:-1], message + b"x", bytearray(message), "Mrs Smith"):
            with pytest.raises(EgressRefused):
                outgoing_answer(exchange, spoilt)  # type: ignore[arg-type]
    with pytest.raises(EgressRefused):
        outgoing_answer("gossip", _answers()["confirm"])


def test_keys_for_a_secure_sum_leave_with_the_scalars_and_no_tensor() -> None:
    advert = KeyAdvert(
        tag=bytes(32),
        sender="a",
        seal_key=bytes(32),
        mask_key=bytes(32),
        commitment=bytes(32),
        signature=bytes(64),
    ).to_bytes()
    content = pack(outgoing_advert(advert, METRICS, share_loss=False, receipt=RECEIPT))
    assert set(content) == {"status", "secure-sum", "metrics", "receipt"}
    with pytest.raises(EgressRefused):
        outgoing_advert(advert, {"note": 1.0}, share_loss=False, receipt=RECEIPT)
    with pytest.raises(EgressRefused):
        outgoing_advert(_answers()["confirm"], METRICS, share_loss=False, receipt=RECEIPT)
