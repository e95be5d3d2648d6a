"""Architectures: the layers of a preset's parts as plain data, and modules made from it.

    preset or base folder -> configs of denoiser, autoencoder, text encoder, scheduler
        -> modules on the meta device (names, shapes, no memory) or with random weights (a trial)

`tiny` reads the configs that are shipped with its weights. Those of the two CogVideoX bases are
written down here, so that sizes are known before anything is downloaded; they are the values of
the published configs that differ in a name, a shape or a result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from ophora_model.errors import BaseMissing
from ophora_model.presets import PRESET_NAMES, Preset, check_base_folder, find_preset

if TYPE_CHECKING:
    from diffusers import CogVideoXDPMScheduler

Part = Literal["transformer", "vae", "text"]
Config = Mapping[str, Any]
SHIPPED = Path(__file__).parent / "weights"
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}

_TRANSFORMER: Config = {
    "attention_head_dim": 64,
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "patch_size_t": None,
    "ofs_embed_dim": None,
    "time_embed_dim": 512,
    "text_embed_dim": 4096,
    "max_text_seq_length": 226,
    "attention_bias": True,
    "patch_bias": True,
    "sample_frames": 49,
    "sample_height": 60,
    "sample_width": 90,
    "spatial_interpolation_scale": 1.875,
    "temporal_interpolation_scale": 1.0,
    "temporal_compression_ratio": 4,
    "use_learned_positional_embeddings": False,
}
_TRANSFORMERS: Mapping[str, Config] = {
    "cogvideox-2b": {
        **_TRANSFORMER,
        "num_attention_heads": 30,
        "num_layers": 30,
        "use_rotary_positional_embeddings": False,
    },
    "cogvideox-5b": {
        **_TRANSFORMER,
        "num_attention_heads": 48,
        "num_layers": 42,
        "use_rotary_positional_embeddings": True,
    },
}
_VAE: Config = {
    "block_out_channels": [128, 256, 256, 512],
    "layers_per_block": 3,
    "latent_channels": 16,
    "norm_num_groups": 32,
    "temporal_compression_ratio": 4,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "sample_height": 480,
    "sample_width": 720,
}
_SCALING = {"cogvideox-2b": 1.15258426, "cogvideox-5b": 0.7}
_SCHEDULER: Config = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "set_alpha_to_one": True,
    "clip_sample": False,
}
_SNR_SHIFT = {"cogvideox-2b": 3.0, "cogvideox-5b": 1.0}
_T5: Config = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
_LATER: Config = {  # keys that older published configs lack, with what their absence means
    "patch_bias": True,
    "use_learned_positional_embeddings": False,
}
_MINILM: Config = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The configs of one base's parts. `text_class` names the encoder's class in transformers."""

    transformer: Config
    vae: Config
    scheduler: Config
    text: Config
    text_class: Literal["T5EncoderModel", "BertModel"]


def read_architecture(preset: Preset, folder: Path | None = None) -> Architecture:
    """The configs in `folder`, or the preset's own: those shipped with it or written down here.

    Nothing is downloaded. Raises `BaseMissing` where the folder lacks a part or its config.
    """
    minilm = preset.text_source == "minilm"
    root = SHIPPED / preset.name if folder is None and not preset.source else folder
    if root is None:
        configs = _written_down(preset.name)
    else:
        check_base_folder(preset, root)
        configs = {
            "transformer": read_config(root / "transformer" / "config.json"),
            "vae": read_config(root / "vae" / "config.json"),
            "scheduler": read_config(root / "scheduler" / "scheduler_config.json"),
        }
    return Architecture(
        **configs,
        text=_MINILM if minilm else _T5,
        text_class="BertModel" if minilm else "T5EncoderModel",
    )


def empty_part(architecture: Architecture, part: Part) -> nn.Module:
    """The part on the meta device, in eval mode: every name and shape, no weights, no memory."""
    with torch.device("meta"):
        module: nn.Module = _build(architecture, part).eval()
    return module


def random_part(
    architecture: Architecture, part: Part, dtype: torch.dtype, *, seed: int
) -> nn.Module:
    """The part with random weights of `dtype` on the CPU, in eval mode; for trials only.

    Two calls with one seed give equal weights; the process's own random state is left alone.
    """
    with torch.random.fork_rng(devices=()), _default_dtype(dtype):
        torch.manual_seed(seed)
        module: nn.Module = _build(architecture, part).eval()
        return nn.Module.to(module, dtype)  # positions are made in float32 whatever the default


def make_scheduler(architecture: Architecture) -> CogVideoXDPMScheduler:
    """The noise schedule."""
    from diffusers import CogVideoXDPMScheduler

    return CogVideoXDPMScheduler.from_config(dict(architecture.scheduler))


def find_preset_of(folder: Path) -> Preset:
    """The preset whose denoiser this base folder's config describes. Raises `BaseMissing`."""
    found = read_config(folder / "transformer" / "config.json")
    for name in PRESET_NAMES:
        preset = find_preset(name)
        if config_difference(found, read_architecture(preset).transformer) is None:
            return preset
    raise BaseMissing(
        f"base_folder={str(folder)!r}: its denoiser is none of {', '.join(PRESET_NAMES)};"
        " give the folder of one of these bases"
    )


def config_difference(found: Config, wanted: Config) -> str | None:
    """The first key of `wanted` that `found` lacks or gives otherwise; None where all agree."""
    for key, value in wanted.items():
        if not key.startswith("_") and found.get(key, _LATER.get(key)) != value:
            return key
    return None


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over names, types and values of every weight and buffer that is saved."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def read_config(path: Path) -> Config:
    """One part's config. Raises `BaseMissing` where it is absent or no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BaseMissing(
            f"{path.parent.name}/{path.name} can't be read ({type(error).__name__}); give a"
            " folder laid out as a diffusers CogVideoX pipeline"
        ) from error
    if not isinstance(found, dict):
        raise BaseMissing(f"{path.parent.name}/{path.name}: must be a JSON object; fetch it again")
    return found


def _written_down(name: str) -> dict[str, Config]:
    return {
        "transformer": _TRANSFORMERS[name],
        "vae": {**_VAE, "scaling_factor": _SCALING[name]},
        "scheduler": {**_SCHEDULER, "snr_shift_scale": _SNR_SHIFT[name]},
    }


def _build(architecture: Architecture, part: Part) -> Any:
    match part:
        case "transformer":
            from diffusers import CogVideoXTransformer3DModel

            return CogVideoXTransformer3DModel.from_config(dict(architecture.transformer))
        case "vae":
            from diffusers import AutoencoderKLCogVideoX

            return AutoencoderKLCogVideoX.from_config(dict(architecture.vae))
        case "text" if architecture.text_class == "BertModel":
            from transformers import BertConfig, BertModel

            return BertModel(BertConfig(**architecture.text))
        case "text":
            from transformers import T5Config, T5EncoderModel

            return T5EncoderModel(T5Config(**architecture.text))


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New floating tensors get this type: a float32 draft of 2b alone would take 6.8 GB."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
