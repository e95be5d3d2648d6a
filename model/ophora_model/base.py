"""Bases: the frozen generator that a preset names, loaded whole or in the parts that a step needs.

A base folder is laid out as diffusers lays out a CogVideoX pipeline (transformer/, vae/,
scheduler/ and, unless the preset brings its own text encoder, tokenizer/ and text_encoder/). A
hub id is resolved to such a folder first, so both go through the same code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from ophora_model.errors import BaseMissing
from ophora_model.presets import Preset, check_base_folder
from ophora_model.text import TextEncoder, load_text_encoder

if TYPE_CHECKING:
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDPMScheduler,
        CogVideoXTransformer3DModel,
    )

Part = Literal["transformer", "vae", "text"]
ALL_PARTS: tuple[Part, ...] = ("transformer", "vae", "text")
_SHIPPED = Path(__file__).parent / "weights"
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A loaded base, frozen and in eval mode. Parts that were not asked for are None.

    `fingerprint` is the hash of the weights' bytes; `compute` is what matrix products run in.
    """

    preset: Preset
    fingerprint: str
    device: torch.device
    compute: torch.dtype
    scheduler: CogVideoXDPMScheduler
    transformer: CogVideoXTransformer3DModel | None = None
    vae: AutoencoderKLCogVideoX | None = None
    text: TextEncoder | None = None

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """[len(texts), text_length, width], float32."""
        if self.text is None:
            raise BaseMissing("base was loaded without part 'text': load it with that part")
        return self.text.encode(texts)

    def autocast(self) -> torch.autocast:
        """A context in which the base's products run in `compute`."""
        on = self.compute != torch.float32
        return torch.autocast(self.device.type, self.compute if on else torch.bfloat16, enabled=on)


def load_base(
    preset: Preset, folder: Path | None = None, *, parts: Sequence[Part] = ALL_PARTS
) -> Base:
    """Loads the parts from `folder`, from this package or from the preset's hub id, in that order.

    Raises `BaseMissing` that names what is missing and what to give instead.
    """
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDPMScheduler,
        CogVideoXTransformer3DModel,
    )

    root = _find_folder(preset, folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = _DTYPES[preset.dtype]
    transformer = vae = text = None
    if "transformer" in parts:
        transformer = CogVideoXTransformer3DModel.from_pretrained(
            root / "transformer", torch_dtype=dtype, local_files_only=True
        )
        transformer = transformer.requires_grad_(False).eval().to(device)
    if "vae" in parts:
        vae = AutoencoderKLCogVideoX.from_pretrained(
            root / "vae", torch_dtype=dtype, local_files_only=True
        )
        vae = vae.requires_grad_(False).eval().to(device)
    if "text" in parts:
        text = load_text_encoder(preset, root, dtype)
    return Base(
        preset=preset,
        fingerprint=fingerprint(root),
        device=device,
        compute=_compute_dtype(dtype, device),
        scheduler=CogVideoXDPMScheduler.from_pretrained(root / "scheduler", local_files_only=True),
        transformer=transformer,
        vae=vae,
        text=text,
    )


def empty_transformer(preset: Preset, folder: Path | None = None) -> CogVideoXTransformer3DModel:
    """The preset's denoiser on the meta device: every name and shape, no weights, no memory."""
    from diffusers import CogVideoXTransformer3DModel

    config = CogVideoXTransformer3DModel.load_config(
        _find_folder(preset, folder) / "transformer", local_files_only=True
    )
    with torch.device("meta"):
        return CogVideoXTransformer3DModel.from_config(config)


def base_fingerprint(preset: Preset, folder: Path | None = None) -> str:
    """The fingerprint that `load_base` would give, without loading. Raises `BaseMissing`."""
    return fingerprint(_find_folder(preset, folder))


def fingerprint(root: Path) -> str:
    """SHA-256 over the names and bytes of the denoiser's, autoencoder's and scheduler's files."""
    total = hashlib.sha256()
    for part in ("scheduler", "transformer", "vae"):
        for path in sorted((root / part).rglob("*")):
            if path.suffix in {".json", ".safetensors"}:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                total.update(f"{path.relative_to(root).as_posix()} {digest}\n".encode())
    return total.hexdigest()


def _find_folder(preset: Preset, folder: Path | None) -> Path:
    if folder is not None:
        root = folder
    elif not preset.source:
        root = _SHIPPED / preset.name
    else:
        root = _download(preset)
    check_base_folder(preset, root)
    return root


def _download(preset: Preset) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(preset.source))
    except Exception as error:  # the hub raises a dozen unrelated classes; all mean "not here"
        raise BaseMissing(
            f"preset {preset.name!r}: {preset.source} can't be had from the hub"
            f" ({type(error).__name__}); download it elsewhere and give its folder as base_folder"
        ) from error


def _compute_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """float32 bases run in bfloat16 where the processor multiplies that in hardware."""
    if dtype != torch.float32:
        return dtype
    if device.type == "cuda":
        return torch.bfloat16
    features = torch.cpu.get_capabilities()
    fast = features.get("avx512_bf16") or features.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32
