"""Content and motion, apart from one another."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ophora_model.audit.likeness import (
    content_features,
    distances,
    encode_frames,
    motion_features,
    nearest_by_patient,
)
from ophora_model.base import Base
from ophora_model.errors import PlanInvalid

Make = Callable[[int, int], Tensor]


@pytest.fixture
def make() -> Make:
    """A latent of this look that moves in this way."""

    def made(look: int, way: int) -> Tensor:
        still = torch.randn(1, 8, 16, 24, generator=torch.Generator().manual_seed(look))
        step = torch.randn(1, 8, 16, 24, generator=torch.Generator().manual_seed(1000 + way))
        times = torch.tensor([-1.0, 0.0, 1.0])[:, None, None, None]
        return 3 * still + times * step

    return made


def test_content_is_the_look_and_motion_the_way(make: Make) -> None:
    videos = [make(look, way) for look in range(4) for way in range(4)]
    content, motion = content_features(videos), motion_features(videos)
    for rows, same in ((content, lambda i: i // 4), (motion, lambda i: i % 4)):
        found = distances(rows, rows, reference=rows)
        alike = np.array([[same(i) == same(j) for j in range(16)] for i in range(16)])
        assert found[alike].max() < 0.1
        assert found[~alike].min() > 0.5


def test_an_equal_video_is_at_no_distance_and_the_nearest_clip_counts(make: Make) -> None:
    clips = [make(look, 0) for look in range(5)]
    rows = content_features(clips)
    found, names = nearest_by_patient(
        distances(rows[:2], rows, reference=rows), ["b", "a", "b", "c", "a"]
    )
    assert names == ["a", "b", "c"]
    assert found.shape == (2, 3)
    assert found[0, 1] == pytest.approx(0, abs=1e-9)
    assert found[1, 0] == pytest.approx(0, abs=1e-9)
    assert found[:, 2].min() > 0.5


def test_one_latent_frame_does_not_move(make: Make) -> None:
    with pytest.raises(PlanInvalid, match="latent frames=1"):
        motion_features([make(0, 0)[:1]])


def test_frames_are_encoded_as_the_cache_encodes_them(tiny_base: Base) -> None:
    preset = tiny_base.preset
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (preset.frames, preset.height, preset.width, 3)).astype(np.uint8)
    latent = encode_frames(tiny_base, frames)
    assert latent.shape == (3, 8, 16, 24)
    assert latent.dtype == torch.float32
    assert torch.equal(latent, encode_frames(tiny_base, frames))
