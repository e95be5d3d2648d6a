"""What the parts train on: the tiny base, an adapter on it, random clips with their latents."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ophora_model.adapter import Adapter, attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base import Base, load_base
from ophora_model.latents import CachedClip, ClipSource, LatentsCache
from ophora_model.presets import find_preset
from ophora_model.training_plan import TrainingPlan
from ophora_model.video import read_frames, write_video

BATCH = 4
KEY = b"benchmark key, not a secret one!"


def fresh_base() -> Base:
    """The shipped tiny base, every part, one thread."""
    torch.set_num_threads(1)
    return load_base(find_preset("tiny"))


def adapter_on(base: Base, *, seed: int = 0) -> Adapter:
    """The preset's own adapter, attached."""
    assert base.transformer is not None
    return attach_adapter(base.transformer, AdapterSpec.of_preset(base.preset, seed=seed))


def plan(**changed: object) -> TrainingPlan:
    """The tiny stage with a batch of `BATCH` and no moving average."""
    values = {"batch_size": BATCH, "warmup_steps": 0, **changed}
    return TrainingPlan.of_stage(find_preset("tiny"), "tpt", **values)


def films(folder: Path, *, number: int, seed: int) -> list[ClipSource]:
    """Clips of drifting discs as MP4, each with an instruction of its own."""
    preset = find_preset("tiny")
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[0 : preset.height, 0 : preset.width]
    sources = []
    for index in range(number):
        rng = np.random.default_rng([seed, index])
        colour, back = rng.integers(40, 255, 3), rng.integers(0, 120, 3)
        start, speed = rng.uniform(20, 60, 2), rng.uniform(-4, 4, 2)
        frames = []
        for step in range(preset.frames):
            away = np.hypot(rows - start[0] - speed[0] * step, columns - start[1] - speed[1] * step)
            frames.append(np.where((away < 14)[..., None], colour, back).astype(np.uint8))
        path = folder / f"clip{index:03d}.mp4"
        write_video(path, np.stack(frames), preset.fps)
        sources.append(
            ClipSource(
                clip_id=f"clip{index:03d}",
                patient_id=f"patient{index % 8}",
                path=path,
                instruction=f"Incision: a disc of colour {index} moves over the picture.",
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
        )
    return sources


def cached(base: Base, sources: Sequence[ClipSource]) -> list[CachedClip]:
    """Their latents and embeddings, from a sealed cache in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="latents-") as name:
        cache = LatentsCache(Path(name), base, key=KEY)
        cache.fill(sources)
        return cache.load(sources)


@torch.no_grad()
def passed(base: Base, sources: Sequence[ClipSource]) -> tuple[Tensor, Tensor]:
    """What a step needs of its clips, made anew in one pass: posterior parameters and embeddings.

    As the cache makes them, in the base's precision, but neither sealed nor stored.
    """
    preset = base.preset
    assert base.vae is not None
    clips = [
        read_frames(
            source.path,
            frames=preset.frames,
            height=preset.height,
            width=preset.width,
            fps=preset.fps,
        )
        for source in sources
    ]
    pixels_BFHWC = torch.from_numpy(np.stack(clips)).to(base.device, torch.float32) / 127.5 - 1
    with base.autocast():
        posterior = base.vae.encode(pixels_BFHWC.permute(0, 4, 1, 2, 3)).latent_dist
    return posterior.parameters, base.encode_text([source.instruction for source in sources])
