"""A second adapter on a frozen first: one adapter of both ranks, of which only the second moves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ophora_model.adapter import ADAPTER_NAME, adapter_shapes, attach_adapter, frozen_factor
from ophora_model.adapter_card import AdapterCard
from ophora_model.adapter_file import AdapterFile, seeded_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.aggregation import Factors
from ophora_model.attachment import attach_file, stack_on_file
from ophora_model.base import load_base
from ophora_model.base_layout import BaseLayout
from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.footprint import measure_footprint
from ophora_model.presets import find_preset
from ophora_model.release import attach_release, read_release, write_release
from ophora_model.stacking import (
    stacked_shapes,
    trained_columns,
    trained_shapes,
    whole_columns,
    widened,
)
from ophora_model.training import train
from ophora_model.tuning import tune
from small_training import small_plan


def _base():
    return load_base(find_preset("tiny"), parts=("transformer",))


def _velocity(transformer) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return transformer(
            hidden_states=torch.randn(1, 3, 8, 16, 24, generator=generator),
            encoder_hidden_states=torch.randn(1, 32, 384, generator=generator),
            timestep=torch.tensor([500]),
            return_dict=False,
        )[0]


@pytest.fixture(scope="module")
def layout() -> BaseLayout:
    return BaseLayout.of_preset(find_preset("tiny"))


@pytest.fixture
def first(small_spec, layout) -> AdapterFile:
    card = AdapterCard(
        preset="tiny",
        base_fingerprint=layout.fingerprint,
        targets=small_spec.targets,
        rank=small_spec.rank,
        alpha=small_spec.alpha,
        seed=small_spec.seed,
        stage="tpt",
        round=2,
        code_version="0",
    )
    rng = np.random.default_rng(1)
    sizes = {n: (o, 4) for n, (o, _) in layout.layers.items() if n.endswith(small_spec.targets)}
    drawn = {name: rng.normal(0, 0.3, size).astype(np.float32) for name, size in sizes.items()}
    return seeded_adapter(card, drawn, layout.layers)


def _with_own_factors(first: AdapterFile) -> AdapterFile:
    rng = np.random.default_rng(2)
    own = {
        name: rng.normal(0, 0.1, down.shape).astype(np.float32)
        for name, down in first.factors.down.items()
    }
    return AdapterFile(
        card=replace(first.card, seed=None), factors=Factors(up=first.factors.up, down=own)
    )


def test_the_wider_spec_begins_with_the_factors_of_the_narrower(small_spec):
    wider = small_spec.stacked(3)
    assert (wider.rank, wider.frozen_rank, wider.trained_rank) == (7, 4, 3)
    assert wider.scale == pytest.approx(small_spec.scale, rel=1e-12)
    narrow, wide = (frozen_factor(spec, "layer", 10) for spec in (small_spec, wider))
    assert np.array_equal(wide[:4], narrow)
    assert not np.isin(wide[4:], narrow).any()


def test_a_spec_survives_its_dict_and_says_nothing_of_stacking_where_there_is_none(small_spec):
    wider = small_spec.stacked(3)
    assert AdapterSpec.from_dict(wider.to_dict()) == wider
    assert "frozen_rank" not in small_spec.to_dict()
    with pytest.raises(PlanInvalid, match=r"adapter\.frozen_rank=7"):
        replace(wider, frozen_rank=7)


@pytest.mark.parametrize("own", [False, True], ids=["seeded", "merged over seeds"])
def test_a_fresh_second_adapter_changes_nothing_and_is_all_that_is_trained(first, own):
    file = _with_own_factors(first) if own else first
    plain, stacked = _base(), _base()
    attach_file(plain, file)
    spec, adapter = stack_on_file(stacked, file, 2)
    assert (_velocity(plain.transformer) - _velocity(stacked.transformer)).abs().max() <= 1e-5
    assert adapter.shapes() == adapter_shapes(stacked.transformer, spec)
    trained = [p for p in stacked.transformer.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in adapter.parameters()}
    assert {p.shape[1] for p in trained} == {2}


def test_training_leaves_the_frozen_columns_and_diffusers_reads_both_as_one(
    first, cached_clips, tmp_path
):
    base, stock = _base(), _base()
    spec, adapter = stack_on_file(base, first, 2)
    result = train(base, adapter, cached_clips(["p1", "p2"]), small_plan(weight_decay=0.1))
    for name, value in result.tensors.items():
        assert np.array_equal(value[:, :4], first.factors.up[name])
        assert np.any(value[:, 4:])
    adapter.write_trained(result.average)
    folder = write_release(
        tmp_path / "release",
        preset="tiny",
        base_fingerprint=base.fingerprint,
        adapter=spec,
        tensors=adapter.read(),
        stage="p2ft",
        round=1,
    )
    stock.transformer.load_lora_adapter(folder, weight_name="adapter.safetensors")
    wanted = _velocity(base.transformer)
    assert (_velocity(stock.transformer) - wanted).abs().max() <= 1e-5
    again = _base()
    attach_release(again, read_release(folder))
    assert (_velocity(again.transformer) - wanted).abs().max() <= 1e-5


def test_one_on_a_merge_is_released_with_its_own_factors(first, tmp_path):
    base, again = _base(), _base()
    spec, adapter = stack_on_file(base, _with_own_factors(first), 2)
    adapter.write_trained({n: np.ones((s[0], 2), np.float32) for n, s in adapter.shapes().items()})
    folder = write_release(
        tmp_path / "release",
        preset="tiny",
        base_fingerprint=base.fingerprint,
        adapter=spec,
        tensors=adapter.read(),
        stage="p2ft",
        round=1,
        down=adapter.read_frozen(),
    )
    read = read_release(folder)
    assert read.card.seed is None
    attach_release(again, read)
    assert (_velocity(again.transformer) - _velocity(base.transformer)).abs().max() <= 1e-5


def test_a_private_round_moves_and_noises_the_second_adapter_alone(
    first, cached_clips, round_plan, privacy
):
    base = _base()
    spec, adapter = stack_on_file(base, first, 2)
    plan = round_plan(adapter=spec, privacy={})
    tune(base, adapter, cached_clips(["p1", "p2"]), plan, privacy(noise_multiplier=1.0))
    update = {
        name: value - widened(first.factors.up, spec)[name]
        for name, value in adapter.read().items()
    }
    assert not any(np.any(value[:, : spec.frozen_rank]) for value in update.values())
    assert all(np.any(value) for value in update.values())


def test_a_site_goes_from_a_plain_adapter_to_a_stacked_one_and_back(small_spec):
    transformer = _base().transformer
    bare = _velocity(transformer)
    for spec in (small_spec, small_spec.stacked(2), replace(small_spec, rank=2)):
        shapes = adapter_shapes(transformer, spec)  # with another adapter attached
        if getattr(transformer, "peft_config", None):
            transformer.delete_adapters(ADAPTER_NAME)
        adapter = attach_adapter(transformer, spec)
        assert adapter.shapes() == shapes
        assert torch.equal(_velocity(transformer), bare)
        adapter.write({n: np.ones(s, np.float32) for n, s in adapter.shapes().items()})


def test_tensors_widen_by_zeros_and_only_to_their_own_stack(small_spec):
    spec = small_spec.stacked(2)
    narrow = {"a": np.ones((3, 4), np.float32)}
    wide = widened(narrow, spec)
    assert {n: v.shape for n, v in wide.items()} == stacked_shapes({"a": (3, 4)}, spec)
    assert wide["a"].sum() == 12
    assert wide["a"].dtype == np.float32
    assert np.array_equal(widened(wide, spec)["a"], wide["a"])
    with pytest.raises(AdapterMismatch, match="rank 5; must be 6, or 4"):
        widened({"a": np.ones((3, 5), np.float32)}, spec)


def test_an_update_is_of_the_trained_columns_and_leaves_the_frozen_ones(small_spec):
    spec, whole = small_spec.stacked(2), np.arange(18, dtype=np.float32).reshape(3, 6)
    update = trained_columns({"a": whole}, spec)
    assert {n: v.shape for n, v in update.items()} == trained_shapes({"a": (3, 4)}, spec)
    moved = whole_columns(update, spec)["a"]
    assert not moved[:, :4].any()
    assert np.array_equal(moved[:, 4:], whole[:, 4:])
    plain = {"a": whole[:, :4]}
    assert np.array_equal(
        whole_columns(trained_columns(plain, small_spec), small_spec)["a"], plain["a"]
    )


def test_the_footprint_counts_frozen_columns_as_frozen(small_spec):
    preset = find_preset("tiny")
    plain = measure_footprint(preset, spec=small_spec).adapter
    stacked = measure_footprint(preset, spec=small_spec.stacked(4)).adapter
    assert stacked.trained == plain.trained
    assert stacked.frozen == 2 * plain.frozen + plain.trained
    assert stacked.update_bytes == plain.update_bytes
