"""The container that a video lies in: told by its first bytes, never by its name, and opened so
that it can reach nothing else.

The demuxer is forced and the only protocol is `file`, so a play list named `.mp4` opens no other
file. A decoder that would make a picture larger than the site allows fails instead.
"""

import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer

from ophora_curation.errors import VideoRefused
from ophora_curation.source.dicom import Encapsulated, StreamFile, find_stream, is_dicom

RAW_DEMUXERS = ("h264", "hevc", "mpegvideo")  # streams without a container, in DICOM only
MAX_STREAMS = 32
_HEAD_BYTES = 4096
_MAX_BOXES = 10_000  # of an MP4 before its index
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_PACKETS = ((188, 0), (192, 4))  # MPEG-TS, and m2ts with a time stamp before each packet
_HEVC_STARTS = (32, 33, 35)  # parameter sets and delimiter
_H264_STARTS = (7, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the stream is and which demuxer reads it."""

    path: Path  # may name a patient: keep it out of logs
    demuxer: str
    encapsulated: Encapsulated | None = None  # in a DICOM file


def find_source(path: Path) -> Source:
    """What a file is by its first bytes. Raises `VideoRefused`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block, a device never end
            raise VideoRefused("unreadable")
        if status.st_size == 0:
            raise VideoRefused("empty")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if is_dicom(head):
            return _encapsulated_source(path)
        demuxer = _match(head)
        if demuxer is None:
            raise VideoRefused("not-a-video")
        if demuxer == "mov":
            with path.open("rb") as file:
                _require_index(file, status.st_size)
    except OSError as error:
        raise VideoRefused("unreadable") from error
    return Source(path=path, demuxer=demuxer)


@contextmanager
def open_container(source: Source, *, max_pixels: int, fps: Fraction) -> Iterator[InputContainer]:
    """The open container, closed in the end. Raises `VideoRefused`; `fps` serves raw streams."""
    options = {
        "protocol_whitelist": "file",
        "max_streams": str(MAX_STREAMS),
        "max_pixels": str(max_pixels),
    }
    if source.demuxer in RAW_DEMUXERS and fps > 0:
        options["framerate"] = f"{fps.numerator}/{fps.denominator}"
    av.logging.set_level(None)  # FFmpeg's messages quote tags and names
    with ExitStack() as stack:
        try:
            target: BinaryIO | str = f"file:{source.path.absolute()}"
            if source.encapsulated is not None:
                stream = stack.enter_context(StreamFile(source.path, source.encapsulated))
                target = stream  # type: ignore[assignment]
            container = av.open(
                target, "r", format=source.demuxer, options=options, metadata_errors="replace"
            )
            stack.enter_context(container)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise VideoRefused("unreadable") from error
        yield container


def _match(head: bytes) -> str | None:
    if head[4:8] in _BOXES:
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"\x00\x00\x01\xba"):
        return "mpeg"
    if head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"):
        return "asf"
    return "mpegts" if _is_transport_stream(head) else None


def _is_transport_stream(head: bytes) -> bool:
    """Whether five packets follow each other, from anywhere within the first one."""
    for size, lead in _PACKETS:
        for start in range(lead, size + lead):
            marks = head[start : start + 5 * size : size]
            if len(marks) == 5 and set(marks) == {0x47}:
                return True
    return False


def _encapsulated_source(path: Path) -> Source:
    found = find_stream(path)
    with StreamFile(path, found) as stream:
        head = stream.read(_HEAD_BYTES) or b""
        demuxer = _match(head) or _match_raw(head)
        if demuxer is None:
            raise VideoRefused("not-a-video")
        if demuxer == "mov":
            _require_index(stream, found.size)  # type: ignore[arg-type]
    return Source(path=path, demuxer=demuxer, encapsulated=found)


def _match_raw(head: bytes) -> str | None:
    """A bare elementary stream: by the kind of its first unit."""
    start = head[:5].find(b"\x00\x00\x01")
    if start < 0 or len(head) < start + 4:
        return None
    first = head[start + 3]
    if first == 0xB3:
        return "mpegvideo"
    if first & 0x81 == 0 and first >> 1 in _HEVC_STARTS:
        return "hevc"
    return "h264" if first & 0x1F in _H264_STARTS and first & 0x80 == 0 else None


def _require_index(file: BinaryIO, size: int) -> None:
    """Raise unless an MP4's index begins inside the file; without it no frame can be found."""
    position = 0
    for _ in range(_MAX_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            break
        length, kind = struct.unpack(">I4s", header[:8])
        if kind == b"moov":
            return
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length < 8 or position + length >= size:
            break
        position += length
    raise VideoRefused("truncated")
