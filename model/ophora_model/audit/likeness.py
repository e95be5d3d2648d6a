"""Likeness of videos, in what they show and in how it moves, for the replication audit.

    frames -> the base's own autoencoder -> latents -> content features (mean over time)
                                                    -> motion features (differences over time)

Features are centred and compared by angle, as copy detection does (Somepalli et al. 2023, arXiv
2212.03860; content and motion apart: arXiv 2410.21669). The centre is that of all patients, those
who trained and those held out, so that neither group is favoured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ophora_model.base import Base
from ophora_model.errors import BaseMissing, PlanInvalid
from ophora_model.video import Frames

Floats = NDArray[np.float64]
_GRID = (8, 12)  # rows and columns that features keep


@torch.no_grad()
def encode_frames(base: Base, frames: Frames) -> Tensor:
    """The posterior's mean of one video, [T, C, H, W], on the CPU; frames as the preset has them.

    Raises `BaseMissing` for a base without its autoencoder.
    """
    if base.vae is None:
        raise BaseMissing("base was loaded without part 'vae': load it with that part")
    pixels_FHWC = torch.from_numpy(frames).to(base.device, torch.float32) / 127.5 - 1
    pixels_BCTHW = pixels_FHWC.permute(3, 0, 1, 2)[None].to(base.vae.dtype)
    with base.autocast():
        mean_CTHW: Tensor = base.vae.encode(pixels_BCTHW).latent_dist.mean[0]
    latents: Tensor = mean_CTHW.transpose(0, 1).float().cpu()
    return latents


def content_features(latents: Sequence[Tensor]) -> Floats:
    """[videos, features]: what a video shows, whatever the order of its frames."""
    return _pooled([latent.float().mean(dim=0, keepdim=True) for latent in latents])


def motion_features(latents: Sequence[Tensor]) -> Floats:
    """[videos, features]: what changes from one latent frame to the next, whatever stays.

    Raises `PlanInvalid` for a video of one latent frame.
    """
    for latent in latents:
        if latent.shape[0] < 2:
            raise PlanInvalid("latent frames=1: must be at least 2 to move; use longer clips")
    return _pooled([latent.float().diff(dim=0) for latent in latents])


def distances(one: Floats, other: Floats, *, reference: Floats) -> Floats:
    """[len(one), len(other)] in [0, 2]: 1 - cosine, around the mean of `reference`."""
    centre = reference.mean(axis=0)
    left, right = _unit(one - centre), _unit(other - centre)
    return np.asarray(1 - left @ right.T, np.float64)


def nearest_by_patient(found: Floats, patients: Sequence[str]) -> tuple[Floats, list[str]]:
    """[rows, patients] from [rows, clips]: the nearest clip of each patient; patients sorted."""
    names = sorted(set(patients))
    columns = np.array(patients)
    return np.stack([found[:, columns == name].min(axis=1) for name in names], axis=1), names


def _pooled(parts: Sequence[Tensor]) -> Floats:
    pooled = [functional.adaptive_avg_pool2d(part, _GRID).flatten() for part in parts]
    return np.asarray(torch.stack(pooled).double().numpy(), np.float64)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
