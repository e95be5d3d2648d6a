"""Bases: presets are data, a folder of the paper's layout loads the same way, gaps are named."""

import pytest
import torch

from ophora_model import base as base_module
from ophora_model.base import load_base
from ophora_model.errors import BaseMissing, UnknownPreset
from ophora_model.presets import PRESET_NAMES, find_preset


def test_an_unknown_preset_names_those_allowed():
    with pytest.raises(UnknownPreset, match=r"preset='huge'.*tiny, cogvideox-2b"):
        find_preset("huge")


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_frame_counts_are_8k_plus_1(name):
    assert find_preset(name).frames % 8 == 1


def test_a_missing_base_folder_names_what_it_lacks(tmp_path):
    with pytest.raises(BaseMissing, match="transformer/") as missing:
        load_base(find_preset("cogvideox-2b"), tmp_path)
    assert f"base_folder={str(tmp_path)!r}" in str(missing.value)


def test_paraphrases_lie_nearer_than_other_sentences(tiny_base):
    texts = ["the lens is broken up", "breaking the lens into pieces", "a red car on a road"]
    mean = torch.nn.functional.normalize(tiny_base.encode_text(texts).mean(dim=1), dim=-1)
    assert mean[0] @ mean[1] > mean[0] @ mean[2]


def test_the_vae_keeps_its_weights_apart_from_float16(tiny_base):
    assert tiny_base.vae.dtype == torch.float32
    assert 0.05 < float(tiny_base.vae.config["scaling_factor"]) < 20


@pytest.mark.parametrize(("asked", "found"), [("cpu", "cpu"), (None, "meta")])
def test_a_denoiser_to_be_sharded_skips_the_device_of_the_rest(monkeypatch, asked, found):
    place = torch.device("meta"), torch.float32  # stands in for a GPU
    monkeypatch.setattr(base_module, "place", lambda preset: place)
    base = load_base(find_preset("tiny"), parts=("transformer", "vae"), transformer_device=asked)
    assert {p.device.type for p in base.transformer.parameters()} == {found}
    assert {p.device.type for p in base.vae.parameters()} == {"meta"}
    assert base.device.type == "meta"


def test_a_2b_folder_loads_through_the_same_code(tmp_path):
    folder = _write_small_2b_folder(tmp_path / "2b")
    base = load_base(find_preset("cogvideox-2b"), folder)
    embedding = base.encode_text(["Carefully remove cortex", ""])
    assert embedding.shape == (2, 226, 32)
    assert base.transformer.dtype == torch.float16
    assert not base.transformer.training


def _write_small_2b_folder(folder):
    """The real classes and layout with random weights of a few thousand parameters."""
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDPMScheduler,
        CogVideoXTransformer3DModel,
    )
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    words = ["<pad>", "</s>", "<unk>", "Carefully", "remove", "cortex"]
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")
    config = T5Config(vocab_size=6, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    T5EncoderModel(config).save_pretrained(folder / "text_encoder")
    CogVideoXTransformer3DModel(
        num_attention_heads=1, attention_head_dim=16, num_layers=1, time_embed_dim=8,
        text_embed_dim=32, sample_frames=49, sample_height=60, sample_width=90,
    ).save_pretrained(folder / "transformer")  # fmt: skip
    AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2
    ).save_pretrained(folder / "vae")
    CogVideoXDPMScheduler().save_pretrained(folder / "scheduler")
    return folder
