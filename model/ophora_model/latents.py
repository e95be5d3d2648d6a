"""Latents cache: each clip's posterior and each instruction's embedding, computed once per base.

Keys are content: the clip file's hash, the base's fingerprint and the frames' count, size and
rate. Latents can be decoded to the clip again, so they are as identifiable as the clip: the folder
is the site's, files are 0600, and nothing here is ever sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ophora_model.base import Base
from ophora_model.draft import draft_of
from ophora_model.errors import BaseMissing
from ophora_model.video import read_frames

if TYPE_CHECKING:
    from diffusers import AutoencoderKLCogVideoX


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSource:
    """A curated clip: where it is, what it shows, whose it is. `sha256` is the file's."""

    clip_id: str
    patient_id: str
    path: Path
    instruction: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedClip:
    """Posterior `mean` and `logvar` [T, C, H, W] and prompt [L, D], float16."""

    clip_id: str
    patient_id: str
    mean_TCHW: Tensor
    logvar_TCHW: Tensor
    prompt_LD: Tensor
    unconditional_LD: Tensor
    scaling: float

    def clean(self, generator: torch.Generator) -> Tensor:
        """A fresh draw of the posterior, scaled for the denoiser, [T, C, H, W] float32."""
        mean, logvar = self.mean_TCHW.float(), self.logvar_TCHW.float()
        noise = torch.randn(mean.shape, generator=generator)
        return (mean + (0.5 * logvar).exp() * noise) * self.scaling


class LatentsCache:
    """The cache of one site for one base. Safe to fill again: what is there is kept."""

    def __init__(self, folder: Path, base: Base) -> None:
        self._folder = folder
        self._base = base
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def fill(
        self, clips: Iterable[ClipSource], progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Computes what is missing; returns the number encoded. Raises `VideoUnreadable`."""
        clips = list(clips)
        encoded = 0
        self._embed([clip.instruction for clip in clips])
        for index, clip in enumerate(clips, start=1):
            path = self._clip_path(clip)
            if not path.exists():
                self._encode(clip, path)
                encoded += 1
            if progress is not None:
                progress(index, len(clips))
        return encoded

    def load(self, clips: Sequence[ClipSource]) -> list[CachedClip]:
        """What `fill` stored for these clips; call it first."""
        unconditional = self._load_prompt("")
        prompts = {text: self._load_prompt(text) for text in {clip.instruction for clip in clips}}
        scaling = self._scaling()
        loaded = []
        for clip in clips:
            tensors = load_file(self._clip_path(clip))
            loaded.append(
                CachedClip(
                    clip_id=clip.clip_id,
                    patient_id=clip.patient_id,
                    mean_TCHW=tensors["mean"],
                    logvar_TCHW=tensors["logvar"],
                    prompt_LD=prompts[clip.instruction],
                    unconditional_LD=unconditional,
                    scaling=scaling,
                )
            )
        return loaded

    @torch.no_grad()
    def _encode(self, clip: ClipSource, path: Path) -> None:
        preset, vae = self._base.preset, self._vae()
        frames = read_frames(
            clip.path,
            frames=preset.frames,
            height=preset.height,
            width=preset.width,
            fps=preset.fps,
        )
        pixels = torch.from_numpy(frames).to(self._base.device, torch.float32) / 127.5 - 1
        with self._base.autocast():
            posterior = vae.encode(pixels.permute(3, 0, 1, 2)[None].to(vae.dtype)).latent_dist
        swap = {"mean": posterior.mean, "logvar": posterior.logvar}
        _save(
            path, {k: v[0].permute(1, 0, 2, 3).half().cpu().contiguous() for k, v in swap.items()}
        )

    def _embed(self, texts: Sequence[str]) -> None:
        missing = [t for t in sorted({"", *texts}) if not self._text_path(t).exists()]
        for start in range(0, len(missing), 32):
            batch = missing[start : start + 32]
            for text, row in zip(batch, self._base.encode_text(batch), strict=True):
                _save(self._text_path(text), {"prompt": row.half().cpu().contiguous()})

    def _load_prompt(self, text: str) -> Tensor:
        return load_file(self._text_path(text))["prompt"]

    def _clip_path(self, clip: ClipSource) -> Path:
        preset = self._base.preset
        sizes = f"{preset.frames}x{preset.height}x{preset.width}@{preset.fps}"
        key = f"{clip.sha256}|{self._base.fingerprint}|{sizes}|{self._base.compute}"
        return self._folder / f"clip-{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"

    def _text_path(self, text: str) -> Path:
        preset = self._base.preset
        key = f"{preset.name}|{self._base.fingerprint}|{preset.text_length}|{text}"
        return self._folder / f"text-{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"

    def _vae(self) -> AutoencoderKLCogVideoX:
        if self._base.vae is None:
            raise BaseMissing("base was loaded without part 'vae': load it with that part")
        return self._base.vae

    def _scaling(self) -> float:
        return float(self._vae().config["scaling_factor"])


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    with draft_of(path) as part:
        save_file(tensors, part)
        part.chmod(0o600)
