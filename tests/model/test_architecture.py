"""Architectures: known sizes without weights, repeatable random weights, folders recognised."""

import json
import shutil

import pytest
import torch

from ophora_model.architecture import (
    SHIPPED,
    config_difference,
    empty_part,
    find_preset_of,
    make_scheduler,
    random_part,
    read_architecture,
)
from ophora_model.base import empty_transformer
from ophora_model.errors import BaseMissing
from ophora_model.presets import PRESET_NAMES, find_preset


@pytest.fixture
def tiny_folder(tmp_path):
    return shutil.copytree(SHIPPED / "tiny", tmp_path / "tiny")


def _edit(path, **changed):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.mark.parametrize(
    ("name", "part", "parameters"),
    [
        ("cogvideox-2b", "transformer", 1_693_783_872),
        ("cogvideox-2b", "vae", 215_583_907),
        ("cogvideox-2b", "text", 4_762_310_656),
        ("cogvideox-5b", "transformer", 5_570_283_072),
    ],
)
def test_the_large_bases_have_their_published_parameters(name, part, parameters):
    module = empty_part(read_architecture(find_preset(name)), part)
    assert sum(p.numel() for p in module.parameters()) == parameters


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_an_empty_part_takes_no_memory_and_is_in_eval_mode(name):
    module = empty_part(read_architecture(find_preset(name)), "transformer")
    assert {p.device.type for p in module.parameters()} == {"meta"}
    assert not module.training


def test_only_the_larger_sister_turns_queries_and_keys():
    turned = {
        name: read_architecture(find_preset(name)).transformer["use_rotary_positional_embeddings"]
        for name in PRESET_NAMES
    }
    assert turned == {"tiny": False, "cogvideox-2b": False, "cogvideox-5b": True}


def test_the_tiny_architecture_is_that_of_its_weights_and_text_encoder(tiny_base):
    architecture = read_architecture(find_preset("tiny"))
    for part, loaded in (("transformer", tiny_base.transformer), ("vae", tiny_base.vae)):
        wanted = {name: value.shape for name, value in loaded.state_dict().items()}
        empty = empty_part(architecture, part)
        assert {name: value.shape for name, value in empty.state_dict().items()} == wanted
    sizes = {name: p.shape for name, p in empty_part(architecture, "text").named_parameters()}
    assert sizes == {n: p.shape for n, p in tiny_base.text._encoder.named_parameters()}


def test_the_schedulers_differ_in_the_shift_that_each_base_was_trained_with():
    shifts = {
        name: make_scheduler(read_architecture(find_preset(name))).config["snr_shift_scale"]
        for name in PRESET_NAMES
    }
    assert shifts == {"tiny": 1.0, "cogvideox-2b": 3.0, "cogvideox-5b": 1.0}


def test_random_weights_depend_on_the_seed_alone_and_leave_the_process_as_it_was():
    architecture = read_architecture(find_preset("tiny"))
    before = torch.random.get_rng_state()
    one, same, other = (
        random_part(architecture, "transformer", torch.bfloat16, seed=seed).state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert {value.dtype for value in one.values()} == {torch.bfloat16}
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32


def test_the_shapes_of_a_large_base_need_no_download():
    transformer = empty_transformer(find_preset("cogvideox-5b"))
    assert len(transformer.transformer_blocks) == 42


def test_a_folder_is_recognised_by_its_denoiser(tiny_folder):
    assert find_preset_of(tiny_folder).name == "tiny"


def test_an_older_config_without_later_keys_is_recognised(tiny_folder):
    config = dict(read_architecture(find_preset("cogvideox-2b")).transformer)
    for key in ("patch_bias", "use_learned_positional_embeddings", "patch_size_t", "ofs_embed_dim"):
        del config[key]
    (tiny_folder / "transformer" / "config.json").write_text(json.dumps(config))
    assert find_preset_of(tiny_folder).name == "cogvideox-2b"


def test_a_folder_of_another_base_names_those_there_are(tiny_folder):
    _edit(tiny_folder / "transformer" / "config.json", num_layers=7)
    with pytest.raises(BaseMissing, match=r"none of tiny, cogvideox-2b, cogvideox-5b"):
        find_preset_of(tiny_folder)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_spoilt_config_is_named(tiny_folder, content):
    (tiny_folder / "vae" / "config.json").write_text(content)
    with pytest.raises(BaseMissing, match=r"vae/config\.json"):
        read_architecture(find_preset("tiny"), tiny_folder)


def test_a_difference_names_its_key():
    assert config_difference({"a": 1, "b": 2}, {"a": 1}) is None
    assert config_difference({"a": 1}, {"a": 1, "b": 2}) == "b"
    assert config_difference({"a": 3}, {"a": 1, "_class_name": "x"}) == "a"
