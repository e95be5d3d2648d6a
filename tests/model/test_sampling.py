"""Sampling: the record decides the video; a cancelled call leaves nothing behind."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import CogVideoXPipeline

from ophora_model.acceleration import FasterCache, FirstBlock, MagCache, NoAcceleration, Pab
from ophora_model.base import load_base
from ophora_model.errors import Cancelled, PlanInvalid
from ophora_model.presets import find_preset
from ophora_model.sampling import Generator, SamplerRecord

TINY = find_preset("tiny")
RECORD = SamplerRecord.of_preset(TINY, seed=5, steps=2, guidance=2.0)
KINDS = (
    NoAcceleration(),
    Pab(above=0, below=1000),
    FasterCache(branch_below=1000),
    FasterCache(branch_below=1000, attention_every=2, attention_below=1000),
    MagCache(ratios=(1.0,) * 4),
    FirstBlock(threshold=1.0),
)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


@pytest.fixture(scope="module")
def base():
    """One for all tests here, which attach nothing: a hook left on it would be seen."""
    return load_base(TINY)


@pytest.fixture
def generator(base):
    return Generator(base)


@pytest.fixture(scope="module")
def plain(base):
    """What no acceleration gives."""
    return Generator(base).sample_latents(["a red disc"], record_with(NoAcceleration()))


def record_with(kind, **changed):
    values = {"seed": 5, "steps": 4, "guidance": 2.0, "acceleration": kind, **changed}
    return SamplerRecord.of_preset(TINY, **values)


def test_same_record_same_video_also_after_a_cancelled_call(generator):
    first = generator.generate(["a red disc"], RECORD)[0]
    with pytest.raises(Cancelled):
        generator.generate(["a blue bar"], RECORD, cancelled=lambda: True)
    again = generator.generate(["a red disc"], RECORD)[0]
    assert first.shape == (9, 64, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_another_seed_or_prompt_gives_another_video(generator):
    first, second = generator.generate(["a red disc", "a red disc"], RECORD)
    other = generator.generate(["white letters on black"], RECORD)[0]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_steps_are_reported_in_order(generator):
    steps = []
    generator.generate(["a disc"], RECORD, on_step=lambda step, total: steps.append((step, total)))
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 2001])
def test_an_empty_or_overlong_prompt_is_refused(generator, prompt):
    with pytest.raises(PlanInvalid, match="must have 1 to 2000"):
        generator.generate([prompt], RECORD)


@each_kind
def test_a_call_cancelled_midway_leaves_the_next_as_a_fresh_generator_makes_it(base, kind):
    record = record_with(kind)
    fresh = Generator(base).sample_latents(["a red disc"], record)
    generator, asked = Generator(base), []

    def stop_at_the_third():
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(Cancelled, match="step 3 of 4"):
        generator.generate(["a blue bar"], replace(record, seed=9), cancelled=stop_at_the_third)
    assert torch.equal(generator.sample_latents(["a red disc"], record), fresh)


@each_kind
def test_an_acceleration_changes_its_own_call_and_no_later_one(generator, plain, kind):
    fast = generator.sample_latents(["a red disc"], record_with(kind))
    assert torch.equal(fast, plain) == (kind == NoAcceleration())
    for acceleration, expected in ((NoAcceleration(), plain), (kind, fast)):
        again = generator.sample_latents(["a red disc"], record_with(acceleration))
        assert torch.equal(again, expected)


@each_kind
def test_a_video_of_a_batch_equals_its_single_run(base, kind):
    # in bfloat16 a last bit that differs would be rounded up to more than it is
    generator = Generator(replace(base, compute=torch.float32))
    record = record_with(kind, compute="float32")
    prompts = ["a red disc", "a blue bar turns"]
    if isinstance(kind, FirstBlock):
        with pytest.raises(PlanInvalid, match="one a call"):
            generator.sample_latents(prompts, record)
        return
    batch = generator.sample_latents(prompts, record)
    for k, prompt in enumerate(prompts):
        (alone,) = generator.sample_latents([prompt], replace(record, seed=record.seed + k))
        assert (batch[k] - alone).norm() <= 5e-6 * alone.norm()


def test_calibration_measures_one_ratio_a_step_and_leaves_no_hook(generator, plain, capsys):
    record = record_with(NoAcceleration())
    found = generator.calibrate(["a red disc", "a blue bar"], record)
    assert len(found.ratios) == 4
    assert found.ratios[0] == 1.0
    assert all(0.3 < ratio < 3 for ratio in found.ratios)
    assert len(set(found.ratios)) > 2
    assert capsys.readouterr().out == ""
    assert torch.equal(generator.sample_latents(["a red disc"], record), plain)
    generator.sample_latents(["a red disc"], record_with(found))


@each_kind
def test_a_record_survives_json(kind):
    record = record_with(kind)
    assert SamplerRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_a_record_says_all_that_decides_the_video():
    assert set(RECORD.to_dict()) == {
        *("seed", "steps", "guidance", "dynamic_guidance"),
        *("frames", "height", "width", "fps", "scheduler", "compute"),
        *("acceleration", "compile"),
    }
    assert RECORD.compile is False


def test_a_preset_samples_with_the_acceleration_that_was_measured_for_it():
    assert RECORD.acceleration == FasterCache()
    unguided = SamplerRecord.of_preset(TINY, seed=5, guidance=1.0)
    assert unguided.acceleration == NoAcceleration()
    large = SamplerRecord.of_preset(find_preset("cogvideox-2b"), seed=5)
    assert large.acceleration == NoAcceleration()


def test_a_full_record_gives_the_latents_of_diffusers_own_pipeline(generator, plain):
    base, record = generator.base, record_with(NoAcceleration())
    pipeline = CogVideoXPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=base.vae,
        transformer=base.transformer,
        scheduler=base.scheduler,
    )
    pipeline.set_progress_bar_config(disable=True)
    prompted, unprompted = base.encode_text(["a red disc"]), base.encode_text([""])
    with torch.no_grad(), base.autocast():
        own = pipeline(
            prompt_embeds=prompted,
            negative_prompt_embeds=unprompted,
            height=record.height,
            width=record.width,
            num_frames=record.frames,
            num_inference_steps=record.steps,
            guidance_scale=record.guidance,
            generator=torch.Generator().manual_seed(record.seed),
            max_sequence_length=base.preset.text_length,
            output_type="latent",
        ).frames
    assert torch.equal(plain, own)


@pytest.mark.parametrize("key", ["acceleration", "compute", "seed"])
def test_a_record_with_an_unknown_or_missing_key_is_refused(key):
    given = RECORD.to_dict()
    with pytest.raises(PlanInvalid, match=r"sampler\.eta"):
        SamplerRecord.from_dict({**given, "eta": 0.0})
    del given[key]
    with pytest.raises(PlanInvalid, match=rf"sampler\.{key}: missing"):
        SamplerRecord.from_dict(given)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": 0}, "steps=0"),
        ({"fps": 0.0}, "fps=0.0"),
        ({"scheduler": "DDIMScheduler"}, "scheduler='DDIMScheduler'"),
        ({"compute": "int8"}, "compute='int8'"),
        ({"compile": 1}, "compile=1"),
        ({"acceleration": "pab"}, "acceleration='pab'"),
        ({"acceleration": FasterCache(), "guidance": 1.0}, "must be > 1 with fastercache"),
        ({"acceleration": MagCache(ratios=(1.0,)), "steps": 2}, "1 for steps=2"),
        ({"acceleration": Pab(), "compile": True}, "inside the blocks"),
        ({"acceleration": FasterCache(attention_every=2), "compile": True}, "inside the blocks"),
    ],
)
def test_a_record_of_what_does_not_go_together_is_refused(changed, named):
    with pytest.raises(PlanInvalid, match=named):
        replace(RECORD, **changed)


@pytest.mark.parametrize(
    "changed", [{"frames": 17}, {"height": 128}, {"fps": 8.0}, {"compute": "float16"}]
)
def test_a_record_that_this_base_can_not_do_is_refused(generator, changed):
    (name,) = changed
    with pytest.raises(PlanInvalid, match=f"{name}=.*this base has"):
        generator.sample_latents(["a red disc"], replace(RECORD, **changed))


def test_compiling_replaces_the_blocks_for_its_own_call_only(generator, monkeypatch):
    calls = []

    def spy(forward, **options):
        assert options == {"fullgraph": True, "dynamic": False}
        return lambda *args, **kwargs: calls.append(1) or forward(*args, **kwargs)

    monkeypatch.setattr(torch, "compile", spy)
    plain = generator.sample_latents(["a red disc"], RECORD)
    assert calls == []
    compiled = generator.sample_latents(["a red disc"], replace(RECORD, compile=True))
    blocks = generator.base.transformer.transformer_blocks
    assert len(calls) == 2 * len(blocks)
    assert not any("forward" in vars(block) for block in blocks)
    assert torch.equal(compiled, plain)
    generator.sample_latents(["a red disc"], RECORD)
    assert len(calls) == 2 * len(blocks)


def test_compiling_without_a_compiler_is_refused(generator, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    if generator.base.device.type == "cpu":
        with pytest.raises(PlanInvalid, match=r"no C\+\+ compiler"):
            generator.sample_latents(["a red disc"], replace(RECORD, compile=True))
