"""Frames through PyAV: every format, every damage."""

from pathlib import Path

import numpy as np
import pytest

from films import shot, write_video
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import Probe, probe_video
from ophora_curation.source.pyav_reader import PyavReader

SETTINGS = CurationSettings(min_width=32, min_height=32)
FASTSTART = {"movflags": "faststart"}


def opened(path: Path) -> tuple[PyavReader, Probe]:
    probe = probe_video(path, settings=SETTINGS)
    return PyavReader(path, probe), probe


@pytest.mark.parametrize(
    ("kind", "codec", "pixels"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mov", "libx264", "yuv422p"),
        ("matroska", "libx264", "yuv444p"),
        ("matroska", "libx264", "yuv420p10le"),
        ("mp4", "libx265", "yuv420p10le"),
        ("mpegts", "libx264", "yuv420p"),
        ("mpeg", "mpeg2video", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("mp4", "libsvtav1", "yuv420p"),
        ("matroska", "ffv1", "gray"),
        ("matroska", "ffv1", "bgr0"),
        ("asf", "wmv2", "yuv420p"),
    ],
)
def test_planes_agree_with_the_picture(tmp_path: Path, kind: str, codec: str, pixels: str) -> None:
    fps = 25 if kind == "mpeg" else 8
    quick = {"libx265": {"preset": "ultrafast", "x265-params": "log-level=none"}}
    quick["libvpx-vp9"] = {"deadline": "realtime", "cpu-used": "8"}
    quick["libsvtav1"] = {"preset": "12"}
    pictures = shot(1, 10)
    path = write_video(
        tmp_path / "a", pictures, kind=kind, codec=codec, pixels=pixels, fps=fps,
        options=quick.get(codec),
    )  # fmt: skip
    reader, _ = opened(path)
    frames = [(frame.time_s, frame.planes(), frame.picture()) for frame in reader]
    assert len(frames) == 10
    assert [time for time, _, _ in frames] == pytest.approx(np.arange(10) / fps, abs=0.01)
    for (_, planes, picture), original in zip(frames, pictures, strict=True):
        assert planes.y.shape == picture.shape[:2] == original.shape[:2]
        luma = picture @ np.array([0.299, 0.587, 0.114])
        stored = planes.y.astype(float)
        stored = stored if planes.full_range else (stored - 16) * 255 / 219
        assert np.abs(stored - luma).mean() < 4
        assert planes.u.dtype == planes.v.dtype == np.uint8
    assert (reader.num_damaged, reader.num_lost) == (0, 0)


def test_odd_sizes_are_read_whole(tmp_path: Path) -> None:
    pictures = [picture[:99, :151] for picture in shot(1, 4)]
    path = write_video(tmp_path / "a", pictures, kind="matroska", codec="ffv1", pixels="yuv444p")
    reader, probe = opened(path)
    assert (probe.width, probe.height) == (151, 99)
    assert [frame.planes().y.shape for frame in reader] == [(99, 151)] * 4


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0, 1, 2, 6, 7, 20, 21, 22]
    path = write_video(tmp_path / "a.mp4", shot(1, 8), times=times)
    reader, _ = opened(path)
    assert [frame.time_s for frame in reader] == pytest.approx(np.array(times) / 8)


def test_a_turned_picture_comes_upright(tmp_path: Path) -> None:
    pictures = shot(3, 4)
    plain, _ = opened(write_video(tmp_path / "a.mp4", pictures))
    turned, probe = opened(write_video(tmp_path / "b.mp4", pictures, rotation=90))
    upright = next(iter(turned))
    stored = next(iter(plain)).picture()
    assert upright.picture().shape[:2] == (probe.height, probe.width)
    assert np.array_equal(upright.picture(), np.rot90(stored, upright.planes().turns))


def test_a_truncated_file_gives_what_is_there_and_counts_the_rest(tmp_path: Path) -> None:
    options = {"g": "12"}
    path = write_video(
        tmp_path / "a.mp4", shot(1, 96), container_options=FASTSTART, options=options
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    reader, _ = opened(path)
    count = len(list(reader))
    assert 40 < count < 70
    assert reader.num_lost == 96 - count


def test_frames_predicted_from_a_damaged_one_are_marked(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", shot(1, 96), container_options=FASTSTART, options={"g": "24"}
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(data)
    reader, _ = opened(path)
    damaged = [frame.damaged for frame in reader]
    assert len(damaged) + reader.num_lost == 96
    assert reader.num_damaged > 0
    assert any(damaged)
    assert not any(damaged[:24])
    assert not any(damaged[-20:])  # a key frame repairs


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
def test_reading_can_begin_in_the_middle(tmp_path: Path, kind: str) -> None:
    path = write_video(tmp_path / "a", shot(1, 96), kind=kind, options={"g": "16"})
    reader, probe = opened(path)
    whole = {round(frame.time_s, 2): frame.picture() for frame in reader}
    part = list(reader.frames_from(7.0))
    assert part[0].time_s <= 7.0
    assert part[0].time_s > 4.0 or not probe.can_seek
    assert part[-1].time_s == pytest.approx(95 / 8, abs=0.01)
    assert all(frame.index == -1 for frame in part)
    late = next(frame for frame in part if frame.time_s >= 7.0)
    assert np.array_equal(late.picture(), whole[round(late.time_s, 2)])


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", shot(1, 24))
    reader, _ = opened(path)
    for _ in range(3):
        for frame in reader.frames_from(1.0):
            if frame.time_s > 1.5:
                break
    links = [link.resolve() for link in Path("/proc/self/fd").iterdir() if link.exists()]
    assert path.resolve() not in links
