"""Video inside DICOM."""

import io
from pathlib import Path

import pytest

from films import shot, wrap_in_dicom, write_video
from ophora_curation.errors import VideoRefused
from ophora_curation.settings import CurationSettings
from ophora_curation.source.dicom import StreamFile, find_stream
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import open_reader

SETTINGS = CurationSettings(min_width=32, min_height=32)
H264, HEVC, MPEG2 = (f"1.2.840.10008.1.2.4.{number}" for number in (102, 107, 100))
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("fragments", [1, 7])
@pytest.mark.parametrize(
    ("kind", "codec", "syntax", "demuxer"),
    [
        ("mp4", "libx264", H264, "mov"),
        ("mpegts", "libx264", H264, "mpegts"),
        ("h264", "libx264", H264, "h264"),
        ("hevc", "libx265", HEVC, "hevc"),
        ("mpeg2video", "mpeg2video", MPEG2, "mpegvideo"),
    ],
)
def test_the_stream_is_read_from_its_fragments(
    tmp_path: Path, kind: str, codec: str, syntax: str, demuxer: str, fragments: int
) -> None:
    options = {"preset": "ultrafast"} if codec.startswith("lib") else {}
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    stream = tmp_path / "stream"
    write_video(stream, shot(1, 50), kind=kind, codec=codec, fps=25, options=options)
    path = wrap_in_dicom(
        tmp_path / "a.mp4", stream.read_bytes(), syntax=syntax, fragments=fragments, frame_ms=40.0
    )
    probe = probe_video(path, settings=SETTINGS)
    assert (probe.demuxer, float(probe.fps)) == (demuxer, 25.0)
    reader = open_reader(path, probe)
    frames = [frame.time_s for frame in reader]
    assert len(frames) == 50
    assert frames[-1] == pytest.approx(49 / 25, abs=0.01)
    assert "Poe" not in repr(probe)


def test_the_stream_file_equals_the_stream(tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    path = wrap_in_dicom(tmp_path / "a", content, syntax=H264, fragments=9)
    with StreamFile(path, find_stream(path)) as stream:
        assert stream.read() == content
        stream.seek(-300, io.SEEK_END)
        assert stream.read(10) == content[-300:-290]
        stream.seek(5)
        assert (stream.tell(), stream.read(2)) == (5, content[5:7])


def test_a_still_image_is_refused(tmp_path: Path) -> None:
    path = wrap_in_dicom(tmp_path / "a", b"x" * 100, syntax=EXPLICIT)
    with pytest.raises(VideoRefused, match="not-a-video"):
        probe_video(path, settings=SETTINGS)


def test_what_is_encapsulated_must_be_a_video_too(tmp_path: Path) -> None:
    path = wrap_in_dicom(tmp_path / "a", b"#EXTM3U\n/etc/passwd\n" * 50, syntax=H264)
    with pytest.raises(VideoRefused, match="not-a-video"):
        probe_video(path, settings=SETTINGS)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_dicom_file_cut_anywhere_is_refused_or_read(tmp_path: Path, share: float) -> None:
    stream = tmp_path / "stream"
    write_video(stream, shot(1, 25), kind="h264", fps=25)
    path = wrap_in_dicom(tmp_path / "a", stream.read_bytes(), syntax=H264, fragments=3)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    try:
        probe = probe_video(path, settings=SETTINGS)
    except VideoRefused as refused:
        outcome = refused.reason
    else:
        outcome = "read"
        assert 0 < len(list(open_reader(path, probe))) < 25
    assert outcome in ("read", "unreadable", "no-video", "not-a-video")
