"""A base folder is trusted once it is whole, of the right sizes, finite and pinned."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from ophora_model.architecture import SHIPPED
from ophora_model.base import base_fingerprint, load_base
from ophora_model.base_check import check_base, read_pins
from ophora_model.errors import BaseMissing
from ophora_model.presets import find_preset

TINY = find_preset("tiny")
_WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(SHIPPED / "tiny", tmp_path / "tiny")


def _rewrite(path, change) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def _split(folder) -> None:
    """The denoiser's weights in two shards with an index, as large bases come."""
    path = folder / "transformer" / _WEIGHTS
    tensors = load_file(path)
    path.unlink()
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: tensors[name] for name in held}, path.with_name(shard))
    index = {
        "metadata": {},
        "weight_map": {name: shard for shard, held in shards.items() for name in held},
    }
    path.with_name(f"{_WEIGHTS}.index.json").write_text(json.dumps(index))


def test_the_shipped_base_passes_with_the_fingerprint_that_loading_gives(tiny_base):
    report = check_base(TINY)
    assert report.fingerprint == tiny_base.fingerprint == base_fingerprint(TINY)
    assert report.num_parameters == 4_631_584 + 1_158_291
    assert len(report.files) == 5


def test_every_byte_is_told_to_the_progress(folder):
    told = []
    check_base(TINY, folder, on_bytes=lambda done, total: told.append((done, total)))
    done, totals = [each[0] for each in told], {each[1] for each in told}
    assert done == sorted(done)
    assert len(totals) == 1
    assert 0.98 < done[-1] / totals.pop() <= 1


def test_shards_that_an_index_names_pass_and_load(folder):
    _split(folder)
    assert check_base(TINY, folder).num_parameters == 4_631_584 + 1_158_291
    assert load_base(TINY, folder, parts=("transformer",)).transformer is not None


def test_a_lost_shard_is_named(folder):
    _split(folder)
    (folder / "transformer" / "b.safetensors").unlink()
    with pytest.raises(BaseMissing, match=r"transformer/b\.safetensors"):
        check_base(TINY, folder)


def test_weights_that_could_be_loaded_instead_are_refused(folder):
    shutil.copy(folder / "vae" / _WEIGHTS, folder / "vae" / "other.safetensors")
    with pytest.raises(BaseMissing, match=r"vae/other\.safetensors.*remove it"):
        check_base(TINY, folder)


def test_a_pickled_checkpoint_is_no_substitute(folder):
    path = folder / "transformer" / _WEIGHTS
    path.rename(path.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(BaseMissing, match=r"transformer/diffusion_pytorch_model\.safetensors"):
        check_base(TINY, folder)


@pytest.mark.parametrize("size", [0, 4, 100_000])
def test_a_truncated_file_is_named(folder, size):
    path = folder / "transformer" / _WEIGHTS
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BaseMissing, match=rf"transformer/{_WEIGHTS}: no whole safetensors"):
        check_base(TINY, folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop("proj_out.bias"), r"1 tensors are missing.*proj_out\.bias"),
        (lambda t: t.update(extra=torch.zeros(2)), "extra is no tensor of this base"),
        (lambda t: t.update({"proj_out.bias": torch.zeros(3)}), r"proj_out\.bias is .*\(3,\)"),
        (
            lambda t: t.update({"proj_out.bias": torch.zeros(32, dtype=torch.int32)}),
            r"proj_out\.bias is torch\.int32",
        ),
        (lambda t: t["proj_out.bias"].fill_(torch.nan), r"proj_out\.bias is not finite"),
        (lambda t: t["proj_out.bias"][3:4].fill_(torch.inf), r"proj_out\.bias is not finite"),
    ],
)
def test_a_spoilt_tensor_is_named_with_its_file(folder, change, named):
    _rewrite(folder / "transformer" / _WEIGHTS, change)
    with pytest.raises(BaseMissing, match=named):
        check_base(TINY, folder)


def test_a_tensor_in_two_shards_is_refused(folder):
    _split(folder)
    extra = load_file(folder / "transformer" / "a.safetensors")
    name = sorted(extra)[0]
    _rewrite(
        folder / "transformer" / "b.safetensors",
        lambda tensors: tensors.update({name: extra[name]}),
    )
    with pytest.raises(BaseMissing, match="is there twice"):
        check_base(TINY, folder)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("vae/config.json", "scaling_factor", 9.0),
        ("transformer/config.json", "use_rotary_positional_embeddings", True),
        ("scheduler/scheduler_config.json", "snr_shift_scale", 2.0),
    ],
)
def test_a_config_that_changes_results_without_changing_shapes_is_refused(folder, name, key, value):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(BaseMissing, match=f"{name}: {key}={value}"):
        check_base(TINY, folder)


def test_a_pinned_fingerprint_holds_and_a_changed_value_breaks_it(folder):
    pinned = base_fingerprint(TINY)
    assert check_base(TINY, folder, pinned=pinned).fingerprint == pinned
    _rewrite(folder / "vae" / _WEIGHTS, lambda t: t["decoder.conv_out.conv.bias"].add_(0.5))
    with pytest.raises(BaseMissing, match=f"pinned is {pinned[:12]}"):
        check_base(TINY, folder, pinned=pinned)


def test_a_pinned_list_names_the_file_that_differs(folder):
    pins = {file.name: file.sha256 for file in check_base(TINY, folder).files}
    check_base(TINY, folder, pinned=pins)
    _rewrite(folder / "vae" / _WEIGHTS, lambda t: t["decoder.conv_out.conv.bias"].add_(0.5))
    with pytest.raises(BaseMissing, match=f"^vae/{_WEIGHTS}: sha256"):
        check_base(TINY, folder, pinned=pins)


@pytest.mark.parametrize("change", ["lost", "surplus"])
def test_a_pinned_list_is_all_the_files_there_are(folder, change):
    pins = {file.name: file.sha256 for file in check_base(TINY, folder).files}
    if change == "lost":
        pins["vae/more.json"] = "0" * 64
    else:
        (folder / "vae" / "more.json").write_text("{}")
    with pytest.raises(BaseMissing, match=r"vae/more\.json.*(absent|not pinned)"):
        check_base(TINY, folder, pinned=pins)


def test_what_sha256sum_writes_is_read(folder, tmp_path):
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(folder)}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    (tmp_path / "pins").write_text("\n".join(lines) + "\n")
    assert check_base(TINY, folder, pinned=read_pins(tmp_path / "pins")).files


@pytest.mark.parametrize("text", ["abc  vae/config.json", "\n", f"{'0' * 64}"])
def test_a_list_that_is_none_is_refused_with_its_line(tmp_path, text):
    (tmp_path / "pins").write_text(text)
    with pytest.raises(BaseMissing, match="line 1"):
        read_pins(tmp_path / "pins")


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BaseMissing, match="FileNotFoundError"):
        read_pins(tmp_path / "none")


def test_one_tensor_is_held_at_a_time(folder, monkeypatch):
    """No tensor of an earlier name is alive when the next one is checked."""
    import gc
    import weakref

    from ophora_model import base_check

    alive = []
    check_one = base_check._check_tensor

    def watch(where, name, tensor, shape):
        alive.append(sum(reference() is not None for reference in watched))
        watched.append(weakref.ref(tensor))
        check_one(where, name, tensor, shape)

    watched = []
    monkeypatch.setattr(base_check, "_check_tensor", watch)
    gc.disable()
    try:
        check_base(TINY, folder)
    finally:
        gc.enable()
    assert len(alive) == 360
    assert max(alive) <= 1


def test_a_large_base_is_checked_by_its_own_sizes(folder):
    with pytest.raises(BaseMissing, match=r"transformer/config\.json: attention_head_dim=48"):
        check_base(find_preset("cogvideox-2b"), folder, parts=("transformer", "vae"))


@pytest.fixture
def with_t5(folder, monkeypatch):
    """A base that brings a T5, small enough to write; the architecture to be had is set to it."""
    from dataclasses import replace

    from transformers import T5Config, T5EncoderModel

    from ophora_model import base_check
    from ophora_model.architecture import read_architecture

    config = {"vocab_size": 6, "d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1}
    T5EncoderModel(T5Config(**config)).save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "spiece.model").write_bytes(b"words")
    small = replace(read_architecture(TINY), text=config, text_class="T5EncoderModel")
    monkeypatch.setattr(base_check, "read_architecture", lambda preset: small)
    return folder


def test_a_text_encoder_that_the_base_brings_is_checked_with_its_tokenizer(with_t5):
    report = check_base(find_preset("cogvideox-2b"), with_t5)
    names = {file.name for file in report.files}
    assert {"text_encoder/model.safetensors", "tokenizer/spiece.model"} <= names
    assert report.fingerprint == base_fingerprint(TINY)  # which the text encoder is no part of


def test_a_spoilt_text_encoder_is_named(with_t5):
    path = with_t5 / "text_encoder" / "model.safetensors"
    _rewrite(path, lambda t: t["encoder.final_layer_norm.weight"].fill_(torch.nan))
    with pytest.raises(BaseMissing, match=r"text_encoder/model\.safetensors: encoder\.final_layer"):
        check_base(find_preset("cogvideox-2b"), with_t5)


def test_a_base_without_its_tokenizer_is_refused(with_t5):
    shutil.rmtree(with_t5 / "tokenizer")
    with pytest.raises(BaseMissing, match="no tokenizer/"):
        check_base(find_preset("cogvideox-2b"), with_t5)
