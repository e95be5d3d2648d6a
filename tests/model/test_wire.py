"""Encodings: what they cost in bytes, what they lose, and that the loss does not add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save

from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.update import Update
from ophora_model.wire import KINDS, EncodedUpdate, decode, encode

SHAPES = {"b": (40, 32), "a": (192, 32)}
ROUNDS = 50


def _update(seed: int, scale: float = 0.01) -> Update:
    rng = np.random.default_rng(seed)
    return Update(
        tensors={k: rng.normal(0, scale, s).astype(np.float32) for k, s in SHAPES.items()}
    )


def _largest(update: Update) -> float:
    return max(float(np.abs(value).max()) for value in update.tensors.values())


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoding_survives_its_bytes(kind) -> None:
    encoded, _ = encode(_update(1), kind)
    again = EncodedUpdate.from_bytes(encoded.to_bytes())
    assert again.kind == kind
    assert (decode(again, SHAPES) - decode(encoded, SHAPES)).l2_norm() == 0


def test_float16_is_half_and_int8_a_quarter_and_one_scale_a_tensor() -> None:
    update = _update(1)
    whole, half, quarter = (encode(update, kind)[0].num_bytes() for kind in KINDS)
    assert whole == update.num_bytes()
    assert half == whole / 2
    assert quarter == whole / 4 + 4 * len(SHAPES)
    assert len(encode(update, "int8")[0].to_bytes()) < whole / 4 + 400  # names and framing


def test_float32_loses_nothing() -> None:
    update = _update(1)
    encoded, residual = encode(update, "fp32")
    assert (decode(encoded, SHAPES) - update).l2_norm() == 0
    assert residual.l2_norm() == 0


@settings(deadline=None, max_examples=100)
@given(arrays(np.float32, (4, 3), elements=st.floats(-60000, 60000, width=32)))
def test_one_round_loses_at_most_half_a_step(value: np.ndarray) -> None:
    update = Update(tensors={"a": value})
    encoded, residual = encode(update, "int8")
    step = float(encoded.scales[0])
    assert _largest(residual) <= step / 2 * (1 + 1e-4) + 1e-37
    _, residual = encode(update, "fp16")
    assert (np.abs(residual.tensors["a"]) <= np.abs(value) * 2.0**-11 + 2.0**-25).all()


@pytest.mark.parametrize("kind", ["fp16", "int8"])
def test_with_error_feedback_fifty_rounds_stay_within_one_step(kind) -> None:
    meant = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    arrived = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    residual, errors, steps = None, [], []
    for round_ in range(ROUNDS):
        update = _update(round_)
        encoded, residual = encode(update, kind, residual)
        for name, value in decode(encoded, SHAPES).tensors.items():
            meant[name] += update.tensors[name]
            arrived[name] += value
        errors.append(max(float(np.abs(meant[k] - arrived[k]).max()) for k in SHAPES))
        steps.append(float(encoded.scales.max()) if kind == "int8" else _largest(update) * 2**-10)
    assert max(errors) <= max(steps)
    assert np.mean(errors[-10:]) < 1.5 * np.mean(errors[:10])
    final = {name: residual.tensors[name] for name in SHAPES}
    assert all(np.allclose(meant[k] - arrived[k], final[k], atol=1e-6) for k in SHAPES)


def test_without_error_feedback_a_small_steady_change_is_lost() -> None:
    value = np.full((2, 2), 0.001, np.float32)
    value[0, 0] = 1.0
    update = Update(tensors={"a": value})
    with_feedback, without, residual = 0.0, 0.0, None
    for _ in range(ROUNDS):
        encoded, residual = encode(update, "int8", residual)
        with_feedback += float(decode(encoded, {"a": (2, 2)}).tensors["a"][1, 1])
        without += float(decode(encode(update, "int8")[0], {"a": (2, 2)}).tensors["a"][1, 1])
    assert without == 0
    assert with_feedback == pytest.approx(0.05, abs=1 / 127)


def test_all_zero_and_tiny_tensors_are_encoded() -> None:
    tiny = Update(tensors={"a": np.array([[0.0, 1e-45]], np.float32)})
    encoded, residual = encode(tiny, "int8")
    assert decode(encoded, {"a": (1, 2)}).l2_norm() == 0
    assert (residual - tiny).l2_norm() == 0
    empty = Update(tensors={"a": np.zeros((0, 3), np.float32)})
    assert decode(encode(empty, "int8")[0], {"a": (0, 3)}).l2_norm() == 0


def test_float16_refuses_to_overflow_and_names_the_remedy() -> None:
    with pytest.raises(AdapterMismatch, match=r"7e\+04 overflows float16.*fp32 or int8"):
        encode(Update(tensors={"a": np.array([7e4], np.float32)}), "fp16")
    encode(Update(tensors={"a": np.array([65504], np.float32)}), "fp16")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_what_is_not_finite_is_not_encoded(kind, bad) -> None:
    with pytest.raises(AdapterMismatch, match="not finite"):
        encode(Update(tensors={"a": np.array([bad], np.float32)}), kind)


def test_an_unknown_kind_and_another_residual_are_refused() -> None:
    with pytest.raises(PlanInvalid, match=r"kind='int4'.*fp32, fp16, int8"):
        encode(_update(1), "int4")
    with pytest.raises(AdapterMismatch, match="missing"):
        encode(_update(1), "int8", Update(tensors={"a": _update(1).tensors["a"]}))


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"junk", "no safetensors"),
        (save({"a": np.zeros(2, np.float64)}), "holds float64"),
        (save({"a": np.zeros(2, np.int8), "b": np.zeros(2, np.float16)}), "holds float16, int8"),
        (save({}), "holds no tensor"),
        (save({"a": np.zeros(2, np.int8)}), r"scales: float32 \[0\]; must be float32 \[1\]"),
        (
            save({"a": np.zeros(2, np.int8), ":scales": np.array([np.nan], np.float32)}),
            "scales: must be finite",
        ),
        (save({"a": np.zeros(2, np.int8), ":scales": np.array([-1], np.float32)}), ">= 0"),
        (save({"a": np.zeros(2, np.float16), ":scales": np.ones(1, np.float32)}), "scales"),
    ],
)
def test_hostile_bytes_are_refused(payload, named) -> None:
    with pytest.raises(AdapterMismatch, match=named):
        EncodedUpdate.from_bytes(payload)


def test_what_does_not_fit_the_announced_shapes_is_not_decoded() -> None:
    encoded, _ = encode(_update(1), "int8")
    with pytest.raises(AdapterMismatch, match="missing"):
        decode(encoded, {**SHAPES, "c": (1, 1)})
    with pytest.raises(AdapterMismatch, match="must be float32"):
        decode(encoded, {**SHAPES, "b": (32, 40)})
    huge = EncodedUpdate(
        kind="int8",
        tensors={"a": np.full(2, 127, np.int8)},
        scales=np.array([3e38], np.float32),
    )
    with pytest.raises(AdapterMismatch, match="not finite"):
        decode(huge, {"a": (2,)})
