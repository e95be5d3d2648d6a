from pathlib import Path

import av
import numpy as np
import pytest

from ophora_curation.errors import VideoRefused
from ophora_curation.source.probe import find_demuxer, probe_video
from ophora_curation.source.reader import FrameReader


def write_mp4(
    path: Path, *, frames: int = 24, size: tuple[int, int] = (192, 128), kind: str = "mp4"
) -> Path:
    width, height = size
    with av.open(path, "w", format=kind) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        rng = np.random.default_rng(1)
        for _ in range(frames):
            picture = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


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


def refusal(path: Path) -> str:
    with pytest.raises(VideoRefused) as caught:
        probe_video(path, min_width=160, min_height=96)
    return caught.value.reason


def test_good_file_is_probed(tmp_path: Path) -> None:
    probe = probe_video(write_mp4(tmp_path / "a.mp4"), min_width=160, min_height=96)
    assert (probe.width, probe.height, float(probe.fps)) == (192, 128, 8.0)
    assert probe.claimed_frames == 24
    assert not probe.has_audio


@pytest.mark.parametrize("kind", ["matroska", "avi", "mp4"])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, kind: str) -> None:
    whole = write_mp4(tmp_path / "whole", kind=kind)
    assert probe_video(whole, min_width=160, min_height=96).width == 192
    cut = tmp_path / "cut"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert refusal(cut) == "truncated"


def test_a_live_recording_may_leave_its_end_open(tmp_path: Path) -> None:
    content = bytearray(write_mp4(tmp_path / "whole", kind="matroska").read_bytes())
    length = content.index(bytes.fromhex("18538067")) + 4
    content[length : length + 8] = b"\x01" + b"\xff" * 7
    (tmp_path / "live").write_bytes(content)
    assert find_demuxer(tmp_path / "live") == "matroska"


def test_name_does_not_matter(tmp_path: Path) -> None:
    assert find_demuxer(write_mp4(tmp_path / "a.jpg")) == "mov"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"not a video at all, " * 100, "not-a-video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n", "not-a-video"),
        (bytes(5000), "not-a-video"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(5000), "truncated"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert refusal(path) == reason


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert refusal(path) == "truncated"


def test_sound_without_video_is_refused(tmp_path: Path) -> None:
    assert refusal(write_sound_only(tmp_path / "a.mp4")) == "no-video"


def test_small_video_is_refused(tmp_path: Path) -> None:
    assert refusal(write_mp4(tmp_path / "a.mp4", size=(128, 96))) == "too-small"


def test_lost_frames_are_counted(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", frames=48)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60_000] = bytes(60_000)
    path.write_bytes(data)
    probe = probe_video(path, min_width=16, min_height=16)
    reader = FrameReader(path, probe)
    frames = list(reader)
    assert reader.num_damaged > 0 or len(frames) < 48
