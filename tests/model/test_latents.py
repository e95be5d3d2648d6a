"""The latents cache: content decides the key, a second fill encodes nothing, files are private."""

import stat

import numpy as np
import pytest
import torch

from ophora_model.errors import VideoUnreadable
from ophora_model.latents import ClipSource, LatentsCache
from ophora_model.video import read_frames, write_video


@pytest.fixture
def clip(tmp_path):
    frames = np.zeros((40, 128, 192, 3), np.uint8)
    frames[:, :, :96, 0] = 200
    frames[20:, :, 96:, 1] = 200
    path = tmp_path / "clip.mp4"
    write_video(path, frames, 8)
    return ClipSource(
        clip_id="c1", patient_id="p1", path=path, instruction="a red half", sha256="1" * 64
    )


def test_a_clip_is_encoded_once_and_decodes_to_itself(tmp_path, tiny_base, clip):
    cache = LatentsCache(tmp_path / "cache", tiny_base)
    assert cache.fill([clip]) == 1
    assert cache.fill([clip]) == 0
    cached = cache.load([clip])[0]
    with torch.no_grad():
        latent = cached.mean_TCHW.float().permute(1, 0, 2, 3)[None]
        made = tiny_base.vae.decode(latent).sample[0].permute(1, 2, 3, 0)
    real = torch.from_numpy(read_frames(clip.path, frames=9, height=64, width=96, fps=2.0)).float()
    error = (made.add(1).mul(127.5) - real).abs().mean((1, 2, 3))  # of 255, by frame
    assert error[:5].max() < 12
    # the jump to green is smeared over one latent frame; its one mean colour would be far worse
    assert error.mean() < (real - real.mean((0, 1, 2))).abs().mean() / 3


def test_other_content_is_another_entry(tmp_path, tiny_base, clip):
    cache = LatentsCache(tmp_path / "cache", tiny_base)
    cache.fill([clip])
    changed = ClipSource(
        clip_id="c1", patient_id="p1", path=clip.path, instruction="x", sha256="2" * 64
    )
    assert cache.fill([changed]) == 1


def test_cached_files_are_for_the_site_alone(tmp_path, tiny_base, clip):
    cache = LatentsCache(tmp_path / "cache", tiny_base)
    cache.fill([clip])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").iterdir()}
    assert modes == {0o600}


def test_frames_are_taken_at_the_presets_rate(clip):
    frames = read_frames(clip.path, frames=9, height=64, width=96, fps=2.0)
    assert frames.shape == (9, 64, 96, 3)
    green = frames[:, 32, 72, 1].astype(int)
    assert list(green > 100) == [False] * 5 + [True] * 4  # the change is at 2.5 s


def test_a_broken_clip_is_an_error_of_ours(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    with pytest.raises(VideoUnreadable):
        read_frames(tmp_path / "broken.mp4", frames=9, height=64, width=96, fps=2.0)
