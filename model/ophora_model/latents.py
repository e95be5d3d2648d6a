"""Latents cache: each clip's posterior and each instruction's embedding, computed once per base.

Clip file -> frames -> autoencoder -> mean and logvar -> sealed file; each text is embedded once
however many clips share it. Names are keyed hashes of content: of the clip's bytes, the way they
are decoded and the autoencoder, or of the text and its encoder. Latents decode to the clip again,
so they are as identifiable as the clip: they lie encrypted with a key of the site's, in its own
folder, and nothing here is ever sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from ophora_model.architecture import weights_hash
from ophora_model.base import Base
from ophora_model.draft import sync
from ophora_model.errors import BaseMissing, VideoUnreadable
from ophora_model.presets import Preset
from ophora_model.sealed_file import SUFFIX, Seal
from ophora_model.strict import check_whole
from ophora_model.video import FRAME_FIT, check_frame_count, read_frames

if TYPE_CHECKING:
    from diffusers import AutoencoderKLCogVideoX

Progress = Callable[[int, int], None]  # clips done, clips
_PURPOSE = "latents cache 1"
_CLIP, _TEXT, _MARKER = "clip", "text", f"key{SUFFIX}"
_STORED = torch.float16
_TEXTS_A_PASS = 32
_PIXELS_A_PASS = 250_000  # frames x height x width; on a processor larger passes are slower


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
    """The cache of one site for one base. Safe to fill again: what is there is kept.

    `key` is the site's; `batch_size` is how many clips share a pass of the autoencoder, by default
    what suits the preset's size, and changes no result. Raises `PlanInvalid` without a key, for a
    batch below 1 and for a preset whose frames aren't 8k+1, and `CacheUnreadable` for a folder
    that another key has sealed. Several processes may fill it; none may prune it meanwhile.
    """

    def __init__(
        self, folder: Path, base: Base, *, key: bytes, batch_size: int | None = None
    ) -> None:
        preset = base.preset
        self._seal = Seal.derive(key, _PURPOSE)
        check_frame_count(f"preset {preset.name!r} frames", preset.frames)
        self._batch = _fitting_batch(preset) if batch_size is None else batch_size
        check_whole("batch_size", self._batch, low=1)
        self._folder = folder
        self._base = base
        self._vae_identity: str | None = None
        self._text_identity: dict[str, Any] | None = None
        self._intact: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        if not self._has(_MARKER):
            self._seal.write(folder / _MARKER, b"")

    def fill(self, clips: Iterable[ClipSource], progress: Progress | None = None) -> int:
        """Computes what is missing; returns the number of clips encoded.

        Raises `VideoUnreadable` for a clip that can't be decoded or isn't the file it was: nothing
        of it or of its pass is stored. Raises `CacheUnreadable` for an entry that is spoilt, here
        and not in the middle of a round: each is opened once in the life of this object.
        """
        clips = list(clips)
        named = {self._clip_name(clip): clip for clip in clips}
        missing = [(name, clip) for name, clip in named.items() if not self._has(name)]
        if progress is not None and len(missing) < len(clips):
            progress(len(clips) - len(missing), len(clips))
        for start in range(0, len(missing), self._batch):
            batch = missing[start : start + self._batch]
            self._encode(batch)
            if progress is not None:
                progress(len(clips) - len(missing) + start + len(batch), len(clips))
        self._embed({"", *(clip.instruction for clip in clips)})
        return len(missing)

    def load(self, clips: Sequence[ClipSource]) -> list[CachedClip]:
        """What `fill` stored for these clips; call it first. Raises `CacheUnreadable`."""
        texts = {"", *(clip.instruction for clip in clips)}
        prompts = {text: self._open(self._text_name(text))["prompt"] for text in texts}
        scaling = _scaling(self._vae())
        loaded = []
        for clip in clips:
            tensors = self._open(self._clip_name(clip))
            loaded.append(
                CachedClip(
                    clip_id=clip.clip_id,
                    patient_id=clip.patient_id,
                    mean_TCHW=tensors["mean"],
                    logvar_TCHW=tensors["logvar"],
                    prompt_LD=prompts[clip.instruction],
                    unconditional_LD=prompts[""],
                    scaling=scaling,
                )
            )
        return loaded

    def prune(self, keep: Iterable[ClipSource]) -> int:
        """Removes every entry that these clips don't use, whichever base it was made with.

        Returns the number removed. Drafts of a killed process go too and aren't counted.
        """
        used = {_MARKER, self._text_name("")}
        for clip in keep:
            used |= {self._clip_name(clip), self._text_name(clip.instruction)}
        removed = 0
        for path in sorted(self._folder.iterdir()):
            kind = path.name.removeprefix(".").partition("-")[0]
            if kind in (_CLIP, _TEXT) and path.name not in used:
                path.unlink()
                removed += not path.name.startswith(".")
        sync(self._folder)
        return removed

    @torch.no_grad()
    def _encode(self, batch: Sequence[tuple[str, ClipSource]]) -> None:
        """Decodes every clip of the pass before anything of any is stored."""
        vae = self._vae()
        pixels_BCTHW = torch.stack([self._pixels(clip) for _, clip in batch])
        with self._base.autocast():
            posterior = vae.encode(pixels_BCTHW.to(vae.dtype)).latent_dist
        for row, (name, _) in enumerate(batch):
            both = {"mean": posterior.mean[row], "logvar": posterior.logvar[row]}
            self._store(name, {part: value.transpose(0, 1) for part, value in both.items()})

    def _pixels(self, clip: ClipSource) -> Tensor:
        """[C, F, H, W] in [-1, 1] on the base's device."""
        _check_content(clip)
        preset = self._base.preset
        frames = read_frames(
            clip.path,
            frames=preset.frames,
            height=preset.height,
            width=preset.width,
            fps=preset.fps,
        )
        pixels_FHWC = torch.from_numpy(frames).to(self._base.device, torch.float32) / 127.5 - 1
        return pixels_FHWC.permute(3, 0, 1, 2)

    def _embed(self, texts: Iterable[str]) -> None:
        missing = [text for text in sorted(texts) if not self._has(self._text_name(text))]
        for start in range(0, len(missing), _TEXTS_A_PASS):
            batch = missing[start : start + _TEXTS_A_PASS]
            for text, row in zip(batch, self._base.encode_text(batch), strict=True):
                self._store(self._text_name(text), {"prompt": row})

    def _has(self, name: str) -> bool:
        path = self._folder / name
        if not path.exists():
            return False
        if name not in self._intact:
            self._seal.read(path)
            self._intact.add(name)
        return True

    def _open(self, name: str) -> dict[str, Tensor]:
        return load(self._seal.read(self._folder / name))

    def _store(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        halves = {part: value.to("cpu", _STORED).contiguous() for part, value in tensors.items()}
        self._seal.write(self._folder / name, save(halves))
        self._intact.add(name)

    def _clip_name(self, clip: ClipSource) -> str:
        preset, vae = self._base.preset, self._vae()
        tiles = f"{vae.tile_sample_min_height}x{vae.tile_sample_min_width}"  # tiling changes values
        identity = {
            "sha256": clip.sha256,
            "frames": preset.frames,
            "size": [preset.height, preset.width],
            "fps": preset.fps,
            "fit": FRAME_FIT,
            "vae": self._vae_hash(),
            "vae_config": {k: v for k, v in vae.config.items() if not k.startswith("_")},
            "tiling": tiles if vae.use_tiling else "off",
            "scaling": _scaling(vae),
            "compute": str(self._base.compute),
            "stored": str(_STORED),
        }
        return self._seal.name(_CLIP, json.dumps(identity, sort_keys=True))

    def _text_name(self, text: str) -> str:
        encoder = self._base.text
        if encoder is None:
            raise BaseMissing("base was loaded without part 'text': load it with that part")
        if self._text_identity is None:
            self._text_identity = encoder.identity()
        identity = {"text": text, **self._text_identity, "stored": str(_STORED)}
        return self._seal.name(_TEXT, json.dumps(identity, sort_keys=True))

    def _vae_hash(self) -> str:
        if self._vae_identity is None:
            self._vae_identity = weights_hash(self._vae())
        return self._vae_identity

    def _vae(self) -> AutoencoderKLCogVideoX:
        if self._base.vae is None:
            raise BaseMissing("base was loaded without part 'vae': load it with that part")
        return self._base.vae


def _fitting_batch(preset: Preset) -> int:
    return max(1, _PIXELS_A_PASS // (preset.frames * preset.height * preset.width))


def _scaling(vae: AutoencoderKLCogVideoX) -> float:
    return float(vae.config["scaling_factor"])


def _check_content(clip: ClipSource) -> None:
    """Raises `VideoUnreadable` unless the file still is the one that was curated."""
    try:
        with clip.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VideoUnreadable(
            f"clip {clip.clip_id} can't be read ({type(error).__name__}): curate it again"
        ) from error
    if found != clip.sha256:
        raise VideoUnreadable(
            f"clip {clip.clip_id} has sha256 {found[:12]}..., the manifest says"
            f" {clip.sha256[:12]}...: curate it again"
        )
