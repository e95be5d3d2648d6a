"""Lean passes give what diffusers' and peft's give, and leave nothing behind."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.functional import gelu, scaled_dot_product_attention

from ophora_model import lean_layers
from ophora_model.adapter import attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.lean import lean
from ophora_model.lean_layers import gelu_by_table
from ophora_model.patient_gradients import PatientGradients
from ophora_model.timesteps import Interval
from ophora_model.training_draws import draw_place, losses_of
from ophora_privacy.performance import PerformanceSettings

WIDE = AdapterSpec(
    rank=4, alpha=6.0, targets=("attn1.to_q", "ff.net.0.proj", "norm1.linear"), seed=3
)


def places_of(base, clips):
    return [
        draw_place(clip, f"key/{clip.clip_id}", base, sampler="uniform", interval=Interval())
        for clip in clips
    ]


def losses_and_gradients(base, places, parameters, *, leanly):
    with lean(base.transformer, base.compute) if leanly else nullcontext():
        losses = losses_of(base, places)
        gradients = torch.autograd.grad(losses.mean(), parameters)
    return losses.detach(), torch.cat([gradient.flatten() for gradient in gradients])


def filled(parameters):
    """B factors that do something: they are zero at first."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
    return parameters


def adapted(base, spec):
    return filled(attach_adapter(base.transformer, spec).parameters())


def off(one, other):
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16], ids=str)
def test_without_an_adapter_a_pass_is_the_same_bit_for_bit(tiny_base, cached_clips, compute):
    base = replace(tiny_base, compute=compute)
    places = places_of(base, cached_clips(["p1", "p2"]))
    with torch.no_grad():
        own = losses_of(base, places)
        with lean(base.transformer, compute):
            assert torch.equal(losses_of(base, places), own)
        assert torch.equal(losses_of(base, places), own)


def test_with_an_adapter_losses_and_gradients_are_within_rounding(tiny_base, cached_clips):
    parameters = adapted(tiny_base, WIDE)
    base = replace(tiny_base, compute=torch.float32)
    places = places_of(base, cached_clips(["p1", "p2"]))
    own_losses, own = losses_and_gradients(base, places, parameters, leanly=False)
    losses, made = losses_and_gradients(base, places, parameters, leanly=True)
    assert off(losses, own_losses) < 1e-6
    assert off(made, own) < 1e-6


def test_in_bfloat16_gradients_are_as_near_to_float32_as_before(tiny_base, cached_clips):
    parameters = adapted(tiny_base, WIDE)
    places = places_of(tiny_base, cached_clips(["p1", "p2"]))
    exact_base = replace(tiny_base, compute=torch.float32)
    halved = replace(tiny_base, compute=torch.bfloat16)
    _, exact = losses_and_gradients(exact_base, places, parameters, leanly=False)
    _, own = losses_and_gradients(halved, places, parameters, leanly=False)
    _, made = losses_and_gradients(halved, places, parameters, leanly=True)
    assert 0 < off(made, exact) < 1.2 * off(own, exact)


def test_rows_by_patient_are_the_same_inside(tiny_base, cached_clips, small_spec):
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    filled(adapter.parameters())
    base = replace(tiny_base, compute=torch.float32)
    places = places_of(base, cached_clips(["p1", "p2", "p3"]))
    for path in ("one-by-one", "vectorised"):
        rows = []
        for context in (nullcontext(), lean(base.transformer, base.compute)):
            gradients = PatientGradients(base, adapter, PerformanceSettings(path=path))
            with context:
                passes = list(gradients.rows([places[:2], places[2:]]))
            rows.append(torch.cat([row.flatten() for each in passes for row in each.tensors]))
        assert off(rows[1], rows[0]) < 1e-6


@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16], ids=str)
def test_checkpointed_blocks_run_lean_too(tiny_base, cached_clips, compute):
    parameters = adapted(tiny_base, WIDE)
    base = replace(tiny_base, compute=compute)
    places = places_of(base, cached_clips(["p1"]))
    _, whole = losses_and_gradients(base, places, parameters, leanly=True)
    base.transformer.enable_gradient_checkpointing()
    _, made = losses_and_gradients(base, places, parameters, leanly=True)
    assert off(made, whole) < 1e-6


@pytest.fixture
def mesh_of_one():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield init_device_mesh("cpu", (1,))
    finally:
        dist.destroy_process_group()


def test_a_sharded_base_stays_as_it_is(tiny_base, cached_clips, small_spec, mesh_of_one):
    parameters = adapted(tiny_base, small_spec)
    base = replace(tiny_base, compute=torch.bfloat16)
    places = places_of(base, cached_clips(["p1"]))
    block = base.transformer.transformer_blocks[-1]
    fully_shard(block, mesh=mesh_of_one, ignored_params=set(parameters))

    def weights():
        own = {name: p for name, p in block.named_parameters() if ".lora_" not in name}
        assert all(isinstance(weight, DTensor) for weight in own.values())
        return {name: (w.to_local().data_ptr(), w.dtype) for name, w in own.items()}

    before = weights()
    with lean(base.transformer, torch.bfloat16):
        assert weights() == before
        assert "forward" not in vars(base.transformer.transformer_blocks[0])
        torch.autograd.grad(losses_of(base, places).mean(), parameters)
    assert weights() == before


@pytest.mark.parametrize("raises", [False, True])
def test_afterwards_nothing_has_changed(tiny_base, small_spec, raises):
    attach_adapter(tiny_base.transformer, small_spec)

    def state():
        weights = [(p.data_ptr(), p.dtype) for p in tiny_base.transformer.parameters()]
        modules = tiny_base.transformer.modules()
        return weights, [{k: id(v) for k, v in vars(module).items()} for module in modules]

    before = state()
    with (
        pytest.raises(KeyboardInterrupt) if raises else nullcontext(),
        lean(tiny_base.transformer, torch.bfloat16),
    ):
        assert state()[0] != before[0]
        if raises:
            raise KeyboardInterrupt
    assert state() == before


def test_gelu_by_table_is_torchs_own_at_every_bfloat16():
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    own, made = every.clone().requires_grad_(), every.clone().requires_grad_()
    slope = torch.full_like(every, 0.3)
    expected = gelu(own, approximate="tanh")
    found = gelu_by_table(made)
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found.nan_to_num(), expected.nan_to_num())
    (wanted,) = torch.autograd.grad(expected, own, slope)
    (gradient,) = torch.autograd.grad(found, made, slope)
    assert torch.equal(gradient.nan_to_num(), wanted.nan_to_num())


def test_short_attention_has_the_gradients_of_torchs():
    generator = torch.Generator().manual_seed(0)
    parts = [
        torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64).requires_grad_()
        for _ in range(3)
    ]
    above = torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64)
    expected = torch.autograd.grad(scaled_dot_product_attention(*parts), parts, above)
    found = torch.autograd.grad(lean_layers._ShortAttention.apply(*parts), parts, above)
    for one, other in zip(found, expected, strict=True):
        assert off(one, other) < 1e-12


def test_long_sequences_keep_torchs_attention(tiny_base, cached_clips, small_spec, monkeypatch):
    parameters = adapted(tiny_base, small_spec)
    places = places_of(tiny_base, cached_clips(["p1"]))
    base = replace(tiny_base, compute=torch.bfloat16)
    monkeypatch.setattr(lean_layers, "_SHORT", 100)
    monkeypatch.setattr(lean_layers, "_ShortAttention", None)
    losses, _ = losses_and_gradients(base, places, parameters, leanly=True)
    assert torch.isfinite(losses).all()
