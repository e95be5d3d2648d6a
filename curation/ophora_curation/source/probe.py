"""What a file really is, before a decoder sees it: by its first bytes, never by its name.

The demuxer is then forced, so a play list named `.mp4` can't make the decoder open other files.
A file that can't be used raises `VideoRefused` with one of the words in `REFUSALS`.
"""

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from ophora_curation.errors import VideoRefused

REFUSALS: dict[str, str] = {
    "empty": "the file has no bytes",
    "unreadable": "the file can't be read",
    "not-a-video": "its first bytes are of no known video container",
    "truncated": "the file ends before its own index says it should",
    "no-video": "the container holds no video stream",
    "damaged": "too many packets can't be decoded",
    "too-small": "the picture is smaller than the site allows",
    "too-short": "shorter than one clip",
    "no-narration": "no subtitles beside it and no speech in it",
    "no-speech-model": "speech is in it, but the speech model is missing",
    "no-patient": "the file lies in no patient's folder",
    "duplicate": "the same content lies in another patient's folder",
    "timed-out": "took longer than video_timeout_s",
    "worker-died": "the worker process died on it",
    "failed": "an unexpected error; the log has its kind",
}
_HEAD_BYTES = 4096
_SEGMENT = 0x18538067  # Matroska's id of the element that holds everything
_OPTIONS = {"protocol_whitelist": "file"}
_MAX_PIXELS = 8192 * 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What the container says of itself, with the demuxer to force."""

    demuxer: str
    width: int
    height: int
    fps: Fraction
    claimed_frames: int  # 0 when the container does not say
    has_audio: bool


def find_demuxer(path: Path) -> str:
    """The demuxer for a file's first bytes. Raises `VideoRefused`."""
    try:
        size = path.stat().st_size
        if size == 0:
            raise VideoRefused("empty")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise VideoRefused("unreadable") from error
    demuxer = _match(head)
    if demuxer is None:
        raise VideoRefused("not-a-video")
    if demuxer == "mov" and not _boxes_are_whole(path, size):
        raise VideoRefused("truncated")
    if demuxer == "matroska" and _matroska_end(head) > size:
        raise VideoRefused("truncated")
    if demuxer == "avi" and 8 + int.from_bytes(head[4:8], "little") > size:
        raise VideoRefused("truncated")
    return demuxer


def probe_video(path: Path, *, min_width: int, min_height: int) -> Probe:
    """Open the container once. Raises `VideoRefused` with the reason."""
    demuxer = find_demuxer(path)
    try:
        with av.open(path, format=demuxer, options=_OPTIONS) as container:
            if not container.streams.video:
                raise VideoRefused("no-video")
            stream = container.streams.video[0]
            probe = Probe(
                demuxer=demuxer,
                width=stream.codec_context.width,
                height=stream.codec_context.height,
                fps=stream.average_rate or stream.guessed_rate or Fraction(0),
                claimed_frames=stream.frames,
                has_audio=bool(container.streams.audio),
            )
    except (av.FFmpegError, ValueError, UnicodeDecodeError) as error:
        raise VideoRefused("unreadable") from error
    if probe.fps <= 0 or probe.width * probe.height > _MAX_PIXELS:
        raise VideoRefused("unreadable")
    if probe.width < min_width or probe.height < min_height:
        raise VideoRefused("too-small")
    return probe


def _match(head: bytes) -> str | None:
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"\x00\x00\x01\xba"):
        return "mpeg"
    if head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"):
        return "asf"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "mpegts"
    return None


def _matroska_end(head: bytes) -> int:
    """Where the segment says it ends; 0 when it leaves that open, as a live recording does."""
    position = 0
    while position < len(head):
        kind, position = _vint(head, position, keep_mark=True)
        length, start = _vint(head, position, keep_mark=False)
        if kind == _SEGMENT:
            is_open = length == (1 << 7 * (start - position)) - 1
            return 0 if is_open else start + length
        position = start + length
    return 0


def _vint(data: bytes, position: int, *, keep_mark: bool) -> tuple[int, int]:
    """A Matroska number of one to eight bytes and the position after it."""
    first = data[position] if position < len(data) else 0
    width = 9 - first.bit_length() if first else 1
    value = int.from_bytes(data[position : position + width], "big")
    return (value if keep_mark else value & ((1 << 7 * width) - 1)), position + width


def _boxes_are_whole(path: Path, size: int) -> bool:
    """Whether every top-level MP4 box ends inside the file and the index is among them."""
    position, has_index = 0, False
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(16)
            if len(header) < 8:
                return False
            length, kind = struct.unpack(">I4s", header[:8])
            if length == 1 and len(header) == 16:
                length = struct.unpack(">Q", header[8:])[0]
            elif length == 0:  # to the end of the file
                length = size - position
            if length < 8 or position + length > size:
                return False
            has_index = has_index or kind == b"moov"
            position += length
    return has_index
