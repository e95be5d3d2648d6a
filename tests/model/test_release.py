"""Releases: what was tuned is what is loaded, also in plain diffusers; spoilt ones are refused."""

import errno
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
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
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    payload = change(load(path.read_bytes()), metadata)
    path.write_bytes(payload)
    card = json.loads((folder / "release.json").read_text())
    card["sha256"] = hashlib.sha256(payload).hexdigest()
    (folder / "release.json").write_text(json.dumps(card))


def _other_frozen(keyed, metadata) -> bytes:
    moved = {k: v + 1 if k.endswith("lora_A.weight") else v for k, v in keyed.items()}
    return save(moved, metadata)


def _extra_tensor(keyed, metadata) -> bytes:
    return save({**keyed, "vae.weight": np.zeros(3, np.float32)}, metadata)


def _other_round(keyed, metadata) -> bytes:
    card = {**json.loads(metadata["ophora"]), "round": 9}
    return save(keyed, {**metadata, "ophora": json.dumps(card)})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_other_frozen, "frozen factor"),
        (_extra_tensor, "pair of factors"),
        (_other_round, r"says round=4, adapter\.safetensors says 9"),
        (lambda keyed, metadata: save(keyed), "metadata has no 'ophora'"),
        (lambda keyed, metadata: b"junk" * 10, "no safetensors"),
    ],
)
def test_a_hostile_file_is_refused_though_its_hash_fits(released, change, named):
    folder, _ = released
    _rewrite(folder, change)
    with pytest.raises(AdapterMismatch, match=named):
        read_release(folder)


def test_another_base_is_refused(released, small_spec):
    folder, _ = released
    tensors = read_release(folder).tensors
    write_release(
        folder,
        preset="tiny",
        base_fingerprint="f" * 64,
        adapter=small_spec,
        tensors=tensors,
        stage="p2ft",
        round=4,
    )
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


def test_a_release_carries_who_made_it_and_what_privacy_it_states(tmp_path, tiny_base, small_spec):
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    sampler = {"seed": 3, "steps": 16, "guidance": 3.0, "dynamic_guidance": False}
    folder = write_release(
        tmp_path,
        preset="tiny",
        base_fingerprint=tiny_base.fingerprint,
        adapter=small_spec,
        tensors={name: np.ones(shape, np.float32) for name, shape in adapter.shapes().items()},
        stage="p2ft",
        round=2,
        history=[{"round": 1}],
        contributors=("site-a", "site-b"),
        epsilon=7.5,
        delta=1e-3,
        sampler=sampler,
        code_version="1.2.3",
    )
    read = read_release(folder)
    assert read.card.contributors == ("site-a", "site-b")
    assert (read.card.epsilon, read.card.delta) == (7.5, 1e-3)
    assert (read.card.sampler, read.card.code_version) == (sampler, "1.2.3")
    assert (read.adapter, read.stage, read.round) == (small_spec, "p2ft", 2)
    assert list(read.history) == [{"round": 1}]


def test_a_release_without_the_optional_facts_states_no_guarantee(released):
    card = read_release(released[0]).card
    assert (card.contributors, card.epsilon, card.delta, card.sampler) == ((), None, None, {})


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda card: {**card, "extra": 1}, "release.extra=1"),
        (lambda card: {**card, "round": "4"}, "round='4'"),
        (lambda card: {**card, "history": 3}, "history must be a list"),
        (lambda card: [card], "must be a table"),
    ],
)
def test_a_spoilt_card_is_refused_with_key_and_value(released, spoil, named):
    path = released[0] / "release.json"
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    with pytest.raises(AdapterMismatch, match=named):
        read_release(released[0])


def test_a_single_adapter_file_loads_as_a_release(released):
    folder, tuned = released
    loaded = load_generator(folder / "adapter.safetensors").base
    assert torch.equal(_velocity(loaded.transformer), _velocity(tuned.transformer))
    assert list(read_release(folder / "adapter.safetensors").history) == []


@pytest.mark.parametrize("full_at", [".adapter.safetensors", ".release.json"])
def test_a_full_disk_leaves_the_earlier_release(released, small_spec, monkeypatch, full_at):
    folder, tuned = released
    earlier = read_release(folder)
    other = {name: value + 1 for name, value in earlier.tensors.items()}
    whole = Path.write_bytes

    def fail(path: Path, payload: bytes) -> int:
        if path.name.startswith(full_at):
            whole(path, payload[: len(payload) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(path, payload)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        write_release(
            folder,
            preset="tiny",
            base_fingerprint=tuned.fingerprint,
            adapter=small_spec,
            tensors=other,
            stage="p2ft",
            round=5,
        )
    again = read_release(folder)
    assert (again.round, again.sha256) == (4, earlier.sha256)
    assert sorted(path.name for path in folder.iterdir()) == ["adapter.safetensors", "release.json"]
