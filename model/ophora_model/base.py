"""Bases: the frozen generator that a preset names, loaded whole or in the parts that a step needs.

A base folder is laid out as diffusers lays out a CogVideoX pipeline (transformer/, vae/,
scheduler/ and, unless the preset brings its own text encoder, tokenizer/ and text_encoder/). A
hub id is resolved to such a folder first, so both go through the same code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ophora_model.architecture import DTYPES, SHIPPED, Part, empty_part, read_architecture
from ophora_model.errors import BaseMissing
from ophora_model.presets import Preset, check_base_folder
from ophora_model.text import TextEncoder, load_text_encoder

if TYPE_CHECKING:
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDPMScheduler,
        CogVideoXTransformer3DModel,
    )

ALL_PARTS: tuple[Part, ...] = ("transformer", "vae", "text")
FINGERPRINTED = ("scheduler", "transformer", "vae")


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
    preset: Preset,
    folder: Path | None = None,
    *,
    parts: Sequence[Part] = ALL_PARTS,
    transformer_device: str | None = None,
) -> Base:
    """Loads the parts from `folder`, from this package or from the preset's hub id, in that order.

    `transformer_device` is where the denoiser's weights go, if not where the base runs: "cpu" for
    one that `shard_base` takes to its devices in parts, none of which need hold it whole.

    Raises `BaseMissing` that names what is missing and what to give instead.
    """
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDPMScheduler,
        CogVideoXTransformer3DModel,
    )

    root = find_folder(preset, folder)
    device, compute = place(preset)
    dtype = DTYPES[preset.dtype]
    transformer = vae = text = None
    if "transformer" in parts:
        transformer = CogVideoXTransformer3DModel.from_pretrained(
            root / "transformer", torch_dtype=dtype, local_files_only=True
        )
        transformer = transformer.requires_grad_(False).eval().to(transformer_device or device)
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
        compute=compute,
        scheduler=CogVideoXDPMScheduler.from_pretrained(root / "scheduler", local_files_only=True),
        transformer=transformer,
        vae=vae,
        text=text,
    )


def empty_transformer(preset: Preset, folder: Path | None = None) -> CogVideoXTransformer3DModel:
    """The preset's denoiser on the meta device: every name and shape, no weights, no memory.

    Without a folder nothing is downloaded. Raises `BaseMissing` where the folder lacks a part.
    """
    return empty_part(read_architecture(preset, folder), "transformer")


def place(preset: Preset) -> tuple[torch.device, torch.dtype]:
    """Where the preset's base runs on this machine, and what its matrix products run in."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return device, _compute_dtype(DTYPES[preset.dtype], device)


def base_fingerprint(preset: Preset, folder: Path | None = None) -> str:
    """The fingerprint that `load_base` would give, without loading. Raises `BaseMissing`."""
    return fingerprint(find_folder(preset, folder))


def fingerprint(root: Path) -> str:
    """SHA-256 over the names and bytes of the denoiser's, autoencoder's and scheduler's files."""
    paths = [path for part in FINGERPRINTED for path in part_files(root, part)]
    return join_hashes({p.relative_to(root).as_posix(): hash_file(p) for p in paths})


def part_files(root: Path, part: str) -> list[Path]:
    """The configs and weight files of one part's folder, sorted."""
    return [
        path
        for path in sorted((root / part).rglob("*"))
        if path.suffix in {".json", ".safetensors"}
    ]


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def join_hashes(hashes: Mapping[str, str]) -> str:
    """One fingerprint of files' hashes by relative name, in the order of the mapping."""
    total = hashlib.sha256()
    for name, digest in hashes.items():
        total.update(f"{name} {digest}\n".encode())
    return total.hexdigest()


def find_folder(preset: Preset, folder: Path | None) -> Path:
    """Where the weights are: `folder`, in this package, or the hub's copy, fetched if need be.

    Raises `BaseMissing` that names what is missing and what to give instead.
    """
    if folder is not None:
        root = folder
    elif not preset.source:
        root = SHIPPED / preset.name
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
