"""A judge of videos: which phase a clip shows, and whether an overlay lies on it.

A small convolutional classifier, trained on labelled clips that the caller gives (the demo gives it
phantom clips only, never generated ones). Its own accuracy on clips it has not seen comes with it,
because a score by a judge of unknown skill says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ophora_model.video import Frames

BATCH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledClip:
    """Frames [F, H, W, 3] with the index of the phase and whether an overlay is on them."""

    frames: Frames
    phase: int
    overlay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Per video: the phase's index and the probability of an overlay."""

    phases: NDArray[np.int64]
    overlays: NDArray[np.float64]


class _Network(nn.Module):
    """Frames share a convolutional trunk; means, spreads and trends over time go to two heads."""

    def __init__(self, num_phases: int) -> None:
        super().__init__()
        sizes = (3, 24, 40, 64, 96)
        layers: list[nn.Module] = []
        for inside, outside in pairwise(sizes):
            layers += [
                nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
            ]
        self.trunk = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d((2, 3))
        width = sizes[-1] * 6
        self.phase = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(width * 3, 128), nn.ReLU(), nn.Linear(128, num_phases)
        )
        self.overlay = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(width, 48), nn.ReLU(), nn.Linear(48, 1)
        )

    def describe(self, pixels_BFCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Features over time [B, 3 D] and their mean over frames [B, D]."""
        batch, frames = pixels_BFCHW.shape[:2]
        features = self.pool(self.trunk(pixels_BFCHW.flatten(0, 1))).flatten(1)
        features = features.unflatten(0, (batch, frames))
        half = frames // 2
        trend = features[:, half:].mean(1) - features[:, :half].mean(1)
        mean = features.mean(1)
        return torch.cat([mean, features.std(1), trend], dim=1), mean

    def forward(self, pixels_BFCHW: Tensor) -> tuple[Tensor, Tensor]:
        motion, mean = self.describe(pixels_BFCHW)
        return self.phase(motion), self.overlay(mean)[:, 0]


class Judge:
    """A trained judge. Made by `train_judge`; try it on clips it has not seen first."""

    def __init__(self, network: _Network) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def judge(self, videos: Sequence[Frames]) -> Verdict:
        """The verdict on each video; all must have the size it was trained at."""
        phases, overlays = [], []
        for start in range(0, len(videos), BATCH):
            pixels = _pixels(videos[start : start + BATCH])
            phase, overlay = self._network(pixels)
            phases.append(phase.argmax(1).numpy())
            overlays.append(overlay.sigmoid().double().numpy())
        return Verdict(phases=np.concatenate(phases), overlays=np.concatenate(overlays))

    @torch.no_grad()
    def features(self, videos: Sequence[Frames]) -> NDArray[np.float64]:
        """What the judge sees of each video, [N, D]: for distances between sets of videos."""
        found = []
        for start in range(0, len(videos), BATCH):
            motion, _ = self._network.describe(_pixels(videos[start : start + BATCH]))
            found.append(motion.double().numpy())
        return np.concatenate(found)


def train_judge(
    clips: Sequence[LabelledClip],
    num_phases: int,
    *,
    epochs: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Judge:
    """Trains on the clips with changes of light, focus and position that a generator might make."""
    torch.manual_seed(seed)
    network = _Network(num_phases)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    per_epoch = -(-len(clips) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * per_epoch)
    pixels = _pixels([clip.frames for clip in clips])
    phases = torch.tensor([clip.phase for clip in clips])
    overlays = torch.tensor([float(clip.overlay) for clip in clips])
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        order = torch.randperm(len(clips), generator=generator)
        for rows in order.split(BATCH):
            if len(rows) < 2:  # batch norm needs two
                continue
            phase, overlay = network(_vary(pixels[rows], generator))
            loss = functional.cross_entropy(phase, phases[rows])
            loss = loss + functional.binary_cross_entropy_with_logits(overlay, overlays[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if progress is not None:
            progress(epoch + 1, epochs)
    return Judge(network)


def _pixels(videos: Sequence[Frames]) -> Tensor:
    stacked = torch.from_numpy(np.stack(videos))
    return stacked.permute(0, 1, 4, 2, 3).float() / 127.5 - 1


def _vary(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Gain, colour cast, shift, blur and grain, each drawn per clip or per batch."""
    batch = pixels.shape[0]
    gain = 1 + 0.15 * torch.randn(batch, 1, 1, 1, 1, generator=generator)
    cast = 0.08 * torch.randn(batch, 1, 3, 1, 1, generator=generator)
    varied = pixels * gain + cast
    shift = [int(s) for s in torch.randint(-3, 4, (2,), generator=generator)]
    varied = torch.roll(varied, shift, dims=(-2, -1))
    if torch.rand((), generator=generator) < 0.5:
        flat = functional.avg_pool2d(varied.flatten(0, 1), 3, stride=1, padding=1)
        varied = flat.unflatten(0, pixels.shape[:2])
    return varied + 0.04 * torch.randn(varied.shape, generator=generator)
