"""Adapter files: read by stock diffusers and by us alike; each way to be wrong has its message."""

import errno
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load, save

from ophora_model.adapter_card import AdapterCard
from ophora_model.adapter_file import (
    AdapterFile,
    parse_adapter,
    read_adapter,
    seeded_adapter,
    write_adapter,
)
from ophora_model.aggregation import Factors
from ophora_model.attachment import attach_file, check_effect
from ophora_model.base import load_base
from ophora_model.base_layout import BaseLayout
from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.presets import find_preset

UP, DOWN = ".lora_B.weight", ".lora_A.weight"
NAME = "transformer.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def layout() -> BaseLayout:
    return BaseLayout.of_preset(find_preset("tiny"))


@pytest.fixture(scope="module")
def card(layout) -> AdapterCard:
    return AdapterCard(
        preset="tiny",
        base_fingerprint=layout.fingerprint,
        targets=("attn1.to_q", "ff.net.2", "proj_out"),
        rank=4,
        alpha=10.0,
        seed=3,
        stage="p2ft",
        round=7,
        contributors=("site-a", "site-b"),
        epsilon=6.5,
        delta=1e-4,
        sampler={"seed": 1, "steps": 16, "guidance": 3.0, "dynamic_guidance": False},
        code_version="0.1.0",
    )


@pytest.fixture(scope="module")
def adapter(card, layout) -> AdapterFile:
    rng = np.random.default_rng(5)
    sizes = {
        name: (out, card.rank)
        for name, (out, _) in layout.layers.items()
        if name.endswith(card.targets)
    }
    trained = {name: rng.normal(0, 0.3, size).astype(np.float32) for name, size in sizes.items()}
    return seeded_adapter(card, trained, layout.layers)


@pytest.fixture
def path(tmp_path, adapter) -> Path:
    write_adapter(tmp_path / "adapter.safetensors", adapter)
    return tmp_path / "adapter.safetensors"


def _transformer_base():
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


def _rewritten(path: Path, change) -> bytes:
    """The file with what `change(tensors, metadata)` returns."""
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    return save(*change(load(path.read_bytes()), metadata))


def test_what_is_written_is_read(path, adapter, layout):
    read = read_adapter(path, layout=layout)
    assert read.card == adapter.card
    for name, up in adapter.factors.up.items():
        assert np.array_equal(read.factors.up[name], up)
        assert np.array_equal(read.factors.down[name], adapter.factors.down[name])


def test_stock_diffusers_gives_what_we_give_with_an_alpha_that_is_not_the_rank(path, layout):
    ours, bare, stock = (_transformer_base() for _ in range(3))
    attach_file(ours, read_adapter(path, layout=layout))
    stock.transformer.load_lora_adapter(path.parent, weight_name=path.name)
    wanted = _velocity(ours.transformer)
    assert (_velocity(stock.transformer) - wanted).abs().max() <= 1e-5
    assert (_velocity(bare.transformer) - wanted).abs().max() > 1e-2
    (config,) = stock.transformer.peft_config.values()
    assert (config.r, config.lora_alpha) == (4, 10.0)


def test_an_adapter_with_factors_of_its_own_gives_the_same_in_both(tmp_path, adapter, layout):
    rng = np.random.default_rng(9)
    down = {k: rng.normal(0, 0.1, v.shape).astype(np.float32) for k, v in _down(adapter).items()}
    own = AdapterFile(
        card=replace(adapter.card, seed=None), factors=Factors(up=adapter.factors.up, down=down)
    )
    write_adapter(tmp_path / "own.safetensors", own)
    ours, stock = _transformer_base(), _transformer_base()
    attach_file(ours, read_adapter(tmp_path / "own.safetensors", layout=layout))
    stock.transformer.load_lora_adapter(tmp_path, weight_name="own.safetensors")
    assert (_velocity(stock.transformer) - _velocity(ours.transformer)).abs().max() <= 1e-5


def _down(adapter: AdapterFile):
    return adapter.factors.down


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (pickle.dumps({"a": 1}), "is a pickle.*convert it"),
        (b"\x1f\x8b\x08\x00" * 9, "gzip archive.*unpack"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer.*git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page.*download"),
        (b"", "cut short: 0 bytes"),
        (b"\x08\0\0\0\0\0\0\0notjson!", "header is not JSON"),
        (b"\x04\0\0\0\0\0\0\0[12]", "must be one JSON object"),
        (b'\x08\0\0\0\0\0\0\0{"a":12}', "'a' is no table"),
        (b"\xff" * 40, "no safetensors file or cut short"),
    ],
)
def test_another_format_is_told_by_its_first_bytes(tmp_path, payload, named):
    (tmp_path / "lora.bin").write_bytes(payload)
    with pytest.raises(AdapterMismatch, match=named):
        read_adapter(tmp_path / "lora.bin")


def test_a_torch_archive_is_refused_unopened(tmp_path):
    with zipfile.ZipFile(tmp_path / "lora.bin", "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(AdapterMismatch, match=r"lora\.bin: is a zip archive.*convert"):
        read_adapter(tmp_path / "lora.bin")


def test_a_missing_file_and_one_cut_short_are_refused(path):
    with pytest.raises(AdapterMismatch, match="can't be read"):
        read_adapter(path.with_name("other.safetensors"))
    with pytest.raises(AdapterMismatch, match="spoilt"):
        parse_adapter(path.read_bytes()[:-7])


def _keys(change):
    return lambda tensors, metadata: ({change(key): v for key, v in tensors.items()}, metadata)


def _value(end, change):
    return lambda tensors, metadata: (
        {key: change(v) if key == NAME + end else v for key, v in tensors.items()},
        metadata,
    )


def _without(*keys):
    return lambda tensors, metadata: (
        {key: v for key, v in tensors.items() if key not in keys},
        metadata,
    )


def _with_nan(value):
    return np.where(np.arange(value.size).reshape(value.shape) == 3, np.float32("nan"), value)


@pytest.mark.parametrize("known", [True, False], ids=["with its base", "without a base"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_keys(lambda key: key.removeprefix("transformer.")), "lack the prefix 'transformer.'"),
        (_keys(lambda key: f"base_model.model.{key}"), "lack the prefix.*base_model"),
        (_without(NAME + UP), rf"1 of \d+ tensors missing \({NAME}{UP}\)"),
        (lambda t, m: ({**t, "vae.w": np.zeros(3, np.float32)}, m), r"1 tensors.*\(vae\.w\)"),
        (lambda t, m: ({}, m), "missing|none a factor"),
        (_value(UP, lambda v: v.astype(np.float16)), "dtype='F16'.*'F32'"),
        (_value(UP, lambda v: v[:, :3].copy()), "not of the card's rank=4"),
        (_value(DOWN, lambda v: v[0].copy()), "must have two sizes"),
        (_value(UP, _with_nan), "not finite"),
        (_value(UP, lambda v: v * np.float32(1e6)), r"norm .* must be <= 10000"),
        (_value(DOWN, lambda v: v + 1), r"adapter\.seed=3"),
        (lambda t, m: ({k: v * k.endswith(DOWN) for k, v in t.items()}, m), "no effect"),
        (lambda t, m: (t, {"format": "pt"}), "metadata has no 'ophora'"),
    ],
)
def test_every_wrong_file_is_refused_by_its_own_message(path, layout, change, named, known):
    with pytest.raises(AdapterMismatch, match=named):
        parse_adapter(_rewritten(path, change), layout=layout if known else None)


def test_a_whole_layer_left_out_is_seen_with_the_base(path, layout):
    payload = _rewritten(path, _without(NAME + UP, NAME + DOWN))
    with pytest.raises(AdapterMismatch, match=rf"2 of \d+ tensors missing \({NAME}"):
        parse_adapter(payload, layout=layout)


def test_no_message_names_more_than_three_tensors(path, layout):
    payload = _rewritten(path, _keys(lambda key: key.removeprefix("transformer.")))
    with pytest.raises(AdapterMismatch) as refused:
        parse_adapter(payload, layout=layout)
    assert str(refused.value).count(".weight") == 3


def test_another_size_and_another_base_are_refused(path, layout, adapter):
    name = next(iter(adapter.factors.up))
    out, width = layout.layers[name]
    resized = replace(layout, layers={**layout.layers, name: (out + 1, width)})
    with pytest.raises(AdapterMismatch, match=rf"{name}: for a layer of .* \(out, in\)"):
        read_adapter(path, layout=resized)
    with pytest.raises(AdapterMismatch, match="same base weights"):
        read_adapter(path, layout=replace(layout, fingerprint="f" * 64))
    with pytest.raises(AdapterMismatch, match="this base is 'cogvideox-2b'"):
        read_adapter(path, layout=replace(layout, preset="cogvideox-2b"))


def test_a_strength_that_diffusers_would_read_otherwise_is_refused(path):
    def weaker(tensors, metadata):
        config = {**json.loads(metadata["lora_adapter_metadata"]), "transformer.lora_alpha": 4.0}
        return tensors, {**metadata, "lora_adapter_metadata": json.dumps(config)}

    with pytest.raises(AdapterMismatch, match=r"lora_alpha=4\.0, the card says 10\.0"):
        parse_adapter(_rewritten(path, weaker))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"preset": "huge"}, "preset='huge'"),
        ({"base_fingerprint": "abc"}, "64 hexadecimal"),
        ({"rank": 0}, r"adapter\.rank=0"),
        ({"alpha": float("nan")}, r"adapter\.alpha=nan"),
        ({"round": -1}, "round=-1"),
        ({"contributors": ("St. Mary Hospital",)}, "contributors='St. Mary"),
        ({"contributors": ("a", "a")}, "named twice"),
        ({"epsilon": None}, "give both or neither"),
        ({"epsilon": float("inf")}, "epsilon=inf"),
        ({"delta": 1.5}, r"delta=1\.5"),
        ({"sampler": {"seed": "x"}}, "sampler.seed='x'"),
        ({"stage": ""}, "stage=''"),
    ],
)
def test_a_card_refuses_values_out_of_range(card, change, named):
    with pytest.raises(PlanInvalid, match=named):
        replace(card, **change)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda card: {**card, "surgeon": "x"}, "card.surgeon='x': unknown key"),
        (lambda card: {k: v for k, v in card.items() if k != "epsilon"}, "card.epsilon: missing"),
        (lambda card: {**card, "contributors": "site-a"}, "must be a list"),
        (lambda card: {**card, "adapter": None}, "adapter=None"),
        (lambda card: {**card, "epsilon": float("nan")}, "epsilon=nan"),
    ],
)
def test_a_spoilt_card_in_a_file_is_an_adapter_mismatch(path, spoil, named):
    def change(tensors, metadata):
        return tensors, {**metadata, "ophora": json.dumps(spoil(json.loads(metadata["ophora"])))}

    with pytest.raises(AdapterMismatch, match=named):
        parse_adapter(_rewritten(path, change))


def test_a_full_disk_leaves_the_earlier_file(path, adapter, layout, monkeypatch):
    def fail(part: Path, payload: bytes) -> int:
        with part.open("wb") as file:
            file.write(payload[: len(payload) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        write_adapter(path, replace(adapter, card=replace(adapter.card, round=8)))
    assert read_adapter(path, layout=layout).card.round == 7
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_attached_where_something_is_wrong(adapter):
    base = _transformer_base()
    up = dict(list(adapter.factors.up.items())[1:])
    down = dict(list(adapter.factors.down.items())[1:])
    part = AdapterFile(card=adapter.card, factors=Factors(up=up, down=down))
    with pytest.raises(AdapterMismatch, match=r"2 of .* missing"):
        attach_file(base, part)
    attach_file(base, adapter)
    with pytest.raises(AdapterMismatch, match="has an adapter already"):
        attach_file(base, adapter)


def test_an_effect_is_measured_and_its_absence_refused(adapter):
    base = _transformer_base()
    attached = attach_file(base, adapter)
    before = attached.read()
    assert check_effect(base, attached) > 1e-3
    assert all(np.array_equal(before[name], value) for name, value in attached.read().items())
    attached.write({name: np.zeros_like(value) for name, value in before.items()})
    with pytest.raises(AdapterMismatch, match="must be above 0"):
        check_effect(base, attached)
