"""What a file says of itself, checked against the site's limits before a picture is decoded.

A file that can't be used raises `VideoRefused` with one of the words in `REFUSALS`.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ophora_curation.errors import VideoRefused
from ophora_curation.settings import CurationSettings
from ophora_curation.source.container import Source, find_source, open_container

REFUSALS: dict[str, str] = {
    "empty": "the file has no bytes",
    "unreadable": "the file can't be read",
    "not-a-video": "its first bytes are of no known video container",
    "truncated": "the file ends before its index, so no frame can be found in it",
    "no-video": "the container holds no video stream",
    "no-decoder": "the decoder does not know its codec, or the header that names it is cut off",
    "damaged": "too many of its frames can't be decoded",
    "too-small": "the picture is smaller than the site allows",
    "too-large": "the picture is larger than the site allows",
    "too-short": "shorter than one clip",
    "too-long": "longer than the site allows",
    "bad-sidecar": "the subtitles beside it can't be read",
    "no-narration": "no subtitles beside it and no speech in it",
    "no-speech-model": "speech is in it, but the speech model is missing",
    "no-patient": "the file lies in no patient's folder",
    "duplicate": "the same content lies in another patient's folder",
    "timed-out": "took longer than its limit",
    "worker-died": "the worker process died on it",
    "out-of-memory": "it needs more memory than its worker may have",
    "not-a-file": "a link, a pipe or a device",
    "failed": "an unexpected error; the log has its kind",
}
_INDEXED = ("mov", "matroska")  # by time, so that a key frame is found where it is said to be
_MAX_PROBE_PACKETS = 400  # looked at for the first picture, which says how it is turned


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What the container says of itself."""

    demuxer: str
    codec: str
    width: int  # upright
    height: int
    fps: Fraction
    claimed_frames: int  # 0 when the container does not say
    duration_s: float  # 0 when the container does not say
    has_audio: bool
    rotation: int = 0  # degrees counter-clockwise that stored pictures are turned by: 0, 90, ...
    start_s: float = 0.0  # the video's first moment on the container's clock
    stored_size: tuple[int, int] = (0, 0)  # width and height as coded, not upright
    source: Source | None = field(default=None, repr=False)

    @property
    def can_seek(self) -> bool:
        """Whether a reader can begin in the middle; otherwise it always begins at the start."""
        return self.demuxer in _INDEXED


def probe_video(path: Path, *, settings: CurationSettings) -> Probe:
    """Open the container once. Raises `VideoRefused` with the reason."""
    source = find_source(path)
    inside = source.encapsulated
    rate = inside.fps if inside else Fraction(0)
    with open_container(source, max_pixels=settings.max_pixels, fps=rate) as container:
        if not container.streams.video:
            raise VideoRefused("no-video")
        stream = container.streams.video[0]
        width, height = _stored_size(stream, settings)
        fps = rate or stream.average_rate or stream.guessed_rate or Fraction(0)
        if not 0 < fps <= 1000:
            raise VideoRefused("unreadable")
        duration_s = _duration_s(container, stream)
        if duration_s > settings.max_duration_s:
            raise VideoRefused("too-long")
        probe = Probe(
            demuxer=source.demuxer,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            fps=fps,
            claimed_frames=inside.num_frames if inside else stream.frames,
            duration_s=duration_s,
            has_audio=bool(container.streams.audio),
            stored_size=(width, height),
            source=source,
        )
        rotation, first_s = _first_picture(container, stream, settings.max_pixels)
        start_s = first_s if stream.start_time is None else _start_s(stream)
        return _upright(replace(probe, start_s=start_s), rotation, settings)


def _stored_size(stream: VideoStream, settings: CurationSettings) -> tuple[int, int]:
    """Width and height as coded. Raises before any picture of a size that is not allowed."""
    try:
        context = stream.codec_context
        width, height = context.width, context.height
    except (AttributeError, ValueError) as error:  # no decoder for it
        raise VideoRefused("no-decoder") from error
    if width <= 0 or height <= 0:
        raise VideoRefused("unreadable")
    if width * height > settings.max_pixels:
        raise VideoRefused("too-large")
    return width, height


def _upright(probe: Probe, rotation: int, settings: CurationSettings) -> Probe:
    width, height = probe.stored_size
    if rotation % 180:
        width, height = height, width
    if width < settings.min_width or height < settings.min_height:
        raise VideoRefused("too-small")
    return replace(probe, width=width, height=height, rotation=rotation)


def _duration_s(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration is not None and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, (container.duration or 0) / av.time_base)


def _start_s(stream: VideoStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _first_picture(
    container: InputContainer, stream: VideoStream, max_pixels: int
) -> tuple[int, float]:
    """How the first picture is turned, which only itself says, and its time."""
    stream.thread_type = "NONE"
    stream.codec_context.options = {"threads": "1", "max_pixels": str(max_pixels)}
    packets = container.demux(stream)
    for _ in range(_MAX_PROBE_PACKETS):
        try:
            for frame in next(packets).decode():
                return round(frame.rotation / 90) * 90 % 360, frame.time or 0.0
        except StopIteration:
            break
        except (av.FFmpegError, ValueError):
            continue
    return 0, 0.0
