"""Releases: what was tuned is what is loaded, also in plain diffusers; spoilt ones are refused."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from ophora_model.adapter import attach_adapter
from ophora_model.base import load_base
from ophora_model.errors import AdapterMismatch, BaseMissing
from ophora_model.presets import find_preset
from ophora_model.release import load_generator, read_release, write_release


@pytest.fixture
def released(tmp_path, tiny_base, small_spec):
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    rng = np.random.default_rng(5)
    tensors = {
        name: rng.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in adapter.shapes().items()
    }
    adapter.write(tensors)
    folder = write_release(
        tmp_path / "release",
        preset="tiny",
        base_fingerprint=tiny_base.fingerprint,
        adapter=small_spec,
        tensors=tensors,
        stage="p2ft",
        round=4,
    )
    return folder, tiny_base


def _velocity(transformer) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return transformer(
            hidden_states=torch.randn(1, 3, 8, 16, 24, generator=generator),
            encoder_hidden_states=torch.randn(1, 32, 384, generator=generator),
            timestep=torch.tensor([500]),
            return_dict=False,
        )[0]


def test_a_release_generates_what_the_tuned_model_does(released):
    folder, tuned = released
    loaded = load_generator(folder).base
    assert torch.equal(_velocity(loaded.transformer), _velocity(tuned.transformer))


def test_plain_diffusers_loads_a_release_with_its_alpha(released):
    from diffusers import CogVideoXPipeline

    folder, tuned = released
    base = load_base(find_preset("tiny"), parts=("transformer", "vae"))
    pipeline = CogVideoXPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=base.vae,
        transformer=base.transformer,
        scheduler=base.scheduler,
    )
    pipeline.load_lora_weights(folder, weight_name="adapter.safetensors")
    assert torch.allclose(_velocity(pipeline.transformer), _velocity(tuned.transformer), atol=1e-5)


def test_a_changed_byte_is_noticed(released):
    folder, _ = released
    path = folder / "adapter.safetensors"
    payload = bytearray(path.read_bytes())
    payload[-1] ^= 1
    path.write_bytes(payload)
    with pytest.raises(AdapterMismatch, match="sha256"):
        read_release(folder)


def _rewrite(folder, change) -> None:
    """Spoil the tensors and mend the card, as someone with bad intent would."""
    path = folder / "adapter.safetensors"
    payload = change(load(path.read_bytes()))
    path.write_bytes(payload)
    card = json.loads((folder / "release.json").read_text())
    card["sha256"] = hashlib.sha256(payload).hexdigest()
    (folder / "release.json").write_text(json.dumps(card))


def _other_frozen(keyed) -> bytes:
    return save({k: v + 1 if k.endswith("lora_A.weight") else v for k, v in keyed.items()})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_other_frozen, "frozen factor"),
        (lambda keyed: save({**keyed, "vae.weight": np.zeros(3, np.float32)}), "pair of factors"),
        (lambda keyed: b"junk" * 10, "no safetensors"),
    ],
)
def test_a_hostile_file_is_refused_though_its_hash_fits(released, change, named):
    folder, _ = released
    _rewrite(folder, change)
    with pytest.raises(AdapterMismatch, match=named):
        read_release(folder)


def test_another_base_is_refused(released):
    folder, _ = released
    card = json.loads((folder / "release.json").read_text())
    card["base_fingerprint"] = "f" * 64
    (folder / "release.json").write_text(json.dumps(card))
    with pytest.raises(AdapterMismatch, match="same base weights"):
        load_generator(folder)


def test_a_release_without_effect_is_refused(tmp_path, tiny_base, small_spec):
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    folder = write_release(
        tmp_path,
        preset="tiny",
        base_fingerprint=tiny_base.fingerprint,
        adapter=small_spec,
        tensors=adapter.read(),
        stage="tpt",
        round=1,
    )
    with pytest.raises(AdapterMismatch, match="no effect"):
        load_generator(folder)


def test_a_folder_without_a_release_says_what_to_give(tmp_path):
    with pytest.raises(BaseMissing, match=r"adapter\.safetensors"):
        load_generator(tmp_path)
