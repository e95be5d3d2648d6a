"""Limits are checked before a picture is decoded."""

import struct
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from films import shot, write_video
from ophora_curation.errors import VideoRefused
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import REFUSALS, probe_video

SETTINGS = CurationSettings(min_width=160, min_height=96)


def write_sound_only(path: Path) -> Path:
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 16000), np.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 16000
        for packet in (*stream.encode(silence), *stream.encode(None)):
            container.mux(packet)
    return path


def refusal(path: Path, settings: CurationSettings = SETTINGS) -> str:
    with pytest.raises(VideoRefused) as caught:
        probe_video(path, settings=settings)
    assert caught.value.reason in REFUSALS
    return caught.value.reason


def test_a_good_file_is_probed(tmp_path: Path) -> None:
    probe = probe_video(write_video(tmp_path / "a.mp4", shot(1, 24)), settings=SETTINGS)
    assert (probe.width, probe.height, float(probe.fps)) == (192, 128, 8.0)
    assert (probe.codec, probe.claimed_frames, probe.duration_s) == ("h264", 24, 3.0)
    assert not probe.has_audio
    assert "a.mp4" not in repr(probe)


def test_a_turned_recording_has_its_upright_size(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", shot(1, 8), rotation=90)
    probe = probe_video(path, settings=replace(SETTINGS, min_width=96))
    assert (probe.width, probe.height) == (128, 192)
    assert probe.rotation in (90, 270)


def test_sound_without_video_is_refused(tmp_path: Path) -> None:
    assert refusal(write_sound_only(tmp_path / "a.mp4")) == "no-video"


def test_a_picture_outside_the_limits_is_refused(tmp_path: Path) -> None:
    small = write_video(tmp_path / "small", shot(1, 4, size=(128, 96)))
    large = write_video(tmp_path / "large", shot(1, 4))
    assert refusal(small) == "too-small"
    assert refusal(large, replace(SETTINGS, max_pixels=192 * 128 - 1)) == "too-large"


def test_a_forged_size_is_refused_before_decoding(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", shot(1, 4), kind="avi", codec="ffv1", pixels="yuv420p")
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 8  # BITMAPINFOHEADER: size, width, height
    data[at + 4 : at + 12] = struct.pack("<ii", 16384, 16384)
    path.write_bytes(data)
    assert refusal(path, replace(SETTINGS, max_pixels=8192 * 8192)) in ("too-large", "unreadable")


def test_a_long_recording_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", shot(1, 24))
    assert refusal(path, replace(SETTINGS, max_duration_s=2.0)) == "too-long"


def test_a_file_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", shot(1, 24))  # its index is at the end
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path) == "truncated"
