"""What one pass says of a real file."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from films import shot, write_video
from ophora_curation.errors import VideoRefused
from ophora_curation.footage.observation import Observation, observe
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import open_reader

SETTINGS = CurationSettings(min_width=32, min_height=32)


def watched(
    path: Path, settings: CurationSettings = SETTINGS, decoder: str = "pyav"
) -> Observation:
    probe = probe_video(path, settings=SETTINGS)
    reader = open_reader(path, probe, decoder=decoder, fast=True)
    return observe(reader, fps=float(probe.fps), settings=SETTINGS)


def test_a_pass_measures_every_frame(tmp_path: Path) -> None:
    pictures = [*shot(1, 24, speed=4), *[np.zeros((128, 192, 3), np.uint8)] * 16, *shot(2, 24)]
    seen = watched(write_video(tmp_path / "a.mp4", pictures))
    assert seen.num_frames == 64
    assert seen.cuts == (24, 40)
    assert seen.shots == ((0, 23), (24, 39), (40, 63))
    assert seen.duration_s == pytest.approx(8.0)
    assert not seen.variable_rate
    assert seen.luma[30] < 20 < seen.luma[10]
    assert seen.repeated[26:40].all()
    assert not seen.repeated[2:24].any()
    speed = 100 * 4 * 8 / 192  # percent of the width a second
    assert np.median(seen.motion[2:24]) == pytest.approx(speed, rel=0.35)
    assert not seen.damaged.any()
    assert len(pickle.dumps(seen)) < 100_000


def test_the_brightest_picture_is_kept_for_each_shot(tmp_path: Path) -> None:
    pictures = [*shot(1, 40, speed=0), *shot(2, 40, speed=0)]
    pictures[5] = np.full_like(pictures[5], 255)
    seen = watched(write_video(tmp_path / "a.mp4", pictures))
    first, second = seen.brightest_of(0), seen.brightest_of(60)
    assert len(seen.brightest) == len(seen.shots) == 2
    assert first is not None
    assert second is not None
    assert first.min() > 240 > second.min()
    assert first.shape[1] == 160


def test_a_turned_recording_is_seen_upright(tmp_path: Path) -> None:
    seen = watched(write_video(tmp_path / "a.mp4", shot(1, 24), rotation=90))
    picture = seen.brightest_of(0)
    assert picture is not None
    assert picture.shape[0] == 160 > picture.shape[1]


def test_full_and_limited_range_look_the_same(tmp_path: Path) -> None:
    pictures = [picture // 3 for picture in shot(4, 24)]
    narrow = watched(write_video(tmp_path / "a", pictures, kind="matroska"))
    full = {"codec": "mjpeg", "pixels": "yuvj420p", "options": {"qscale": "2"}}
    wide = watched(write_video(tmp_path / "b", pictures, kind="matroska", **full))
    assert np.abs(narrow.luma - wide.luma).max() < 3
    assert np.median(narrow.field) == pytest.approx(np.median(wide.field), abs=0.1)


def test_a_variable_rate_is_noticed(tmp_path: Path) -> None:
    times = [index + index // 3 for index in range(30)]
    assert watched(write_video(tmp_path / "a.mp4", shot(1, 30), times=times)).variable_rate


def test_both_decoders_see_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [*shot(1, 24), *shot(2, 24)])
    one, two = watched(path), watched(path, decoder="decord")
    assert one.cuts == two.cuts == (24,)
    assert np.allclose(one.times_s, two.times_s, atol=1e-3)
    assert np.abs(one.luma - two.luma).max() < 3


def test_a_file_that_runs_longer_than_it_says_is_stopped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", shot(1, 48), kind="mpegts")
    probe = probe_video(path, settings=SETTINGS)
    with pytest.raises(VideoRefused, match="too-long"):
        observe(open_reader(path, probe), fps=8.0, settings=replace(SETTINGS, max_duration_s=3.0))
