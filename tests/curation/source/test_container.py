"""What a file is, told by its first bytes."""

import os
from pathlib import Path

import pytest

from films import shot, write_video
from ophora_curation.errors import VideoRefused
from ophora_curation.source.container import find_source


def refusal(path: Path) -> str:
    with pytest.raises(VideoRefused) as caught:
        find_source(path)
    return caught.value.reason


@pytest.mark.parametrize(
    ("kind", "demuxer"),
    [
        ("mp4", "mov"),
        ("mov", "mov"),
        ("matroska", "matroska"),
        ("webm", "matroska"),
        ("avi", "avi"),
        ("mpegts", "mpegts"),
        ("mpeg", "mpeg"),
        ("vob", "mpeg"),
        ("asf", "asf"),
    ],
)
def test_the_first_bytes_choose_the_demuxer_whatever_the_name(
    tmp_path: Path, kind: str, demuxer: str
) -> None:
    codec = {"webm": "libvpx-vp9", "mpeg": "mpeg2video", "vob": "mpeg2video", "asf": "wmv2"}
    fps = 25 if kind in ("mpeg", "vob") else 8
    options = {"deadline": "realtime", "cpu-used": "8"} if kind == "webm" else {}
    path = tmp_path / "a.jpg"
    write_video(
        path, shot(1, 6), kind=kind, codec=codec.get(kind, "libx264"), fps=fps, options=options
    )
    assert find_source(path).demuxer == demuxer


def test_a_transport_stream_with_time_stamps_is_known(tmp_path: Path) -> None:
    options = {"mpegts_m2ts_mode": "1"}
    path = write_video(tmp_path / "a", shot(1, 6), kind="mpegts", fps=8, container_options=options)
    assert path.read_bytes()[4] == 0x47
    assert find_source(path).demuxer == "mpegts"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"not a video at all, " * 100, "not-a-video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n", "not-a-video"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "not-a-video"),
        (bytes(5000), "not-a-video"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(5000), "truncated"),
        (b"\x00\x00\x00\x08free" * 3000, "truncated"),
        (bytes(128) + b"DICM" + bytes(400), "unreadable"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert refusal(path) == reason


def test_a_pipe_and_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    assert refusal(tmp_path / "a.mp4") == "unreadable"
    assert refusal(tmp_path) == "unreadable"
