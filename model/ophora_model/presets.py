"""Presets: which base, at which size. A preset is data; every base goes through the same code.

`tiny` ships with this package: its denoiser and autoencoder were trained by `pretrain/` on generic
motion, its text encoder is a pinned registry package. `cogvideox-2b` is the paper's backbone, from
a local folder or a hub id (paper section 3.2: 49 frames of 480 x 720 at 8 fps, 226 tokens);
`cogvideox-5b` is its larger sister at the same size. architecture.py holds their layers' sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ophora_model.errors import BaseMissing, UnknownPreset

_ATTENTION = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
_EVERY_LINEAR = (
    *_ATTENTION,
    "ff.net.0.proj",
    "ff.net.2",
    "norm1.linear",
    "norm2.linear",
    "norm_out.linear",
    "text_proj",
    "proj_out",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One base generator and the sizes it works at.

    `frames` is 8k+1, `height` and `width` are pixels, `text_length` is tokens. `source` is a hub
    id, or "" for weights inside this package. `dtype` is that of the weights, `dtype_reason` says
    why. `lora_targets` are ends of module names; rank, alpha and targets are defaults of a plan's
    adapter.
    """

    name: str
    source: str
    text_source: Literal["base", "minilm"]
    frames: int
    height: int
    width: int
    fps: float
    text_length: int
    dtype: Literal["float16", "bfloat16", "float32"]
    dtype_reason: str
    guidance: float
    dynamic_guidance: bool
    sampling_steps: int
    lora_rank: int
    lora_alpha: float
    lora_targets: tuple[str, ...]


_PRESETS = (
    Preset(
        name="tiny",
        source="",
        text_source="minilm",
        frames=9,
        height=64,
        width=96,
        fps=2.0,
        text_length=32,
        dtype="float32",
        dtype_reason="trained in float32 and too small to gain from less",
        guidance=3.0,
        dynamic_guidance=False,
        sampling_steps=16,
        lora_rank=32,
        lora_alpha=32.0,
        lora_targets=_EVERY_LINEAR,
    ),
    Preset(
        name="cogvideox-2b",
        source="zai-org/CogVideoX-2b",
        text_source="base",
        frames=49,
        height=480,
        width=720,
        fps=8.0,
        text_length=226,
        dtype="float16",
        dtype_reason="trained in float16; NaN are reported in bfloat16",
        guidance=6.0,
        dynamic_guidance=True,
        sampling_steps=50,
        lora_rank=64,
        lora_alpha=64.0,
        lora_targets=_ATTENTION,
    ),
    Preset(
        name="cogvideox-5b",
        source="zai-org/CogVideoX-5b",
        text_source="base",
        frames=49,
        height=480,
        width=720,
        fps=8.0,
        text_length=226,
        dtype="bfloat16",
        dtype_reason="trained in bfloat16; its successors give black videos in float16",
        guidance=6.0,
        dynamic_guidance=True,
        sampling_steps=50,
        lora_rank=64,
        lora_alpha=64.0,
        lora_targets=_ATTENTION,
    ),
)

PRESET_NAMES = tuple(preset.name for preset in _PRESETS)


def check_base_folder(preset: Preset, folder: Path) -> None:
    """Raises `BaseMissing` unless the folder is laid out as a diffusers CogVideoX pipeline."""
    for part in ("transformer", "vae", "scheduler"):
        if not (folder / part).is_dir():
            raise BaseMissing(
                f"base_folder={str(folder)!r}: has no {part}/; for preset {preset.name!r} it must"
                " be a folder laid out as a diffusers CogVideoX pipeline"
            )


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises `UnknownPreset`, which names those there are."""
    for preset in _PRESETS:
        if preset.name == name:
            return preset
    raise UnknownPreset(f"preset={name!r}: unknown; allowed: {', '.join(PRESET_NAMES)}")
