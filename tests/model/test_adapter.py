"""FFA-LoRA: exact under averaging, the same frozen half everywhere, strict in what it takes."""

import numpy as np
import pytest
import torch

from ophora_model.adapter import adapter_shapes, attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base import Base, empty_transformer
from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.presets import find_preset


def _velocity(base: Base) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return base.transformer(
            hidden_states=torch.randn(1, 3, 8, 16, 24, generator=generator),
            encoder_hidden_states=torch.randn(1, 32, 384, generator=generator),
            timestep=torch.tensor([500]),
            return_dict=False,
        )[0]


def _random_state(adapter, seed: int):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in adapter.shapes().items()
    }


def test_both_factors_lie_where_the_base_lies(small_spec):
    transformer = empty_transformer(find_preset("tiny"))
    attach_adapter(transformer, small_spec)
    places = {name: p.device for name, p in transformer.named_parameters() if "lora_" in name}
    assert {device.type for device in places.values()} == {"meta"}


def test_a_fresh_adapter_has_no_effect_and_a_written_one_has(tiny_base, small_spec):
    before = _velocity(tiny_base)
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    assert torch.equal(before, _velocity(tiny_base))
    adapter.write(_random_state(adapter, 1))
    assert not torch.allclose(before, _velocity(tiny_base), atol=1e-3)


def test_averaging_the_trained_factor_averages_the_product_exactly(tiny_base, small_spec):
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    one, two = _random_state(adapter, 1), _random_state(adapter, 2)
    frozen = adapter.read_frozen()
    for name in one:
        mean_of_products = (one[name] @ frozen[name] + two[name] @ frozen[name]) / 2
        product_of_mean = ((one[name] + two[name]) / 2) @ frozen[name]
        assert np.allclose(mean_of_products, product_of_mean, atol=1e-5)


def test_only_the_b_factors_are_trainable(tiny_base, small_spec):
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    trained = [p for p in tiny_base.transformer.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in adapter.parameters()}


def test_the_frozen_half_depends_on_the_seed_alone(small_spec):
    from ophora_model.base import load_base

    def frozen(seed):
        spec = AdapterSpec(rank=4, alpha=8.0, targets=("attn1.to_q",), seed=seed)
        base = load_base(find_preset("tiny"), parts=("transformer",))
        return attach_adapter(base.transformer, spec).read_frozen()

    first, again, other = frozen(3), frozen(3), frozen(4)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_shapes_are_known_without_weights(tiny_base):
    preset = find_preset("tiny")
    spec = AdapterSpec.of_preset(preset, seed=1)
    announced = adapter_shapes(empty_transformer(preset), spec)
    assert announced == attach_adapter(tiny_base.transformer, spec).shapes()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: dict(list(s.items())[1:]), "missing"),
        (lambda s: {**s, "transformer.other": np.zeros(1, np.float32)}, "not announced"),
        (lambda s: {k: v.astype(np.float64) for k, v in s.items()}, "float64"),
        (lambda s: {k: v[:-1] for k, v in s.items()}, "must be float32"),
        (lambda s: {k: v * np.float32("nan") for k, v in s.items()}, "not finite"),
    ],
)
def test_write_refuses_what_does_not_fit_and_changes_nothing(tiny_base, small_spec, spoil, message):
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    with pytest.raises(AdapterMismatch, match=message):
        adapter.write(spoil(_random_state(adapter, 1)))
    assert not any(np.any(value) for value in adapter.read().values())


def test_an_unknown_target_is_named(tiny_base):
    spec = AdapterSpec(rank=4, alpha=8.0, targets=("attn9.to_q",), seed=3)
    with pytest.raises((AdapterMismatch, ValueError), match="attn9"):
        attach_adapter(tiny_base.transformer, spec)


def test_spec_refuses_unknown_keys_and_bad_values():
    good = {"rank": 4, "alpha": 8.0, "targets": ["attn1.to_q"], "seed": 3}
    with pytest.raises(PlanInvalid, match=r"adapter\.ranks=4: unknown key"):
        AdapterSpec.from_dict({**good, "ranks": 4})
    with pytest.raises(PlanInvalid, match=r"adapter\.rank=0"):
        AdapterSpec.from_dict({**good, "rank": 0})
