"""Frames through decord, in a process of its own that can be killed.

decord can loop in native code while it holds the interpreter's lock, so it never runs in the
worker: a child (decord_child.py) writes RGB frames to a pipe and is killed when one takes too
long. The path goes through the child's input, not its command line, where anyone on the machine
could read it.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ophora_curation.errors import VideoRefused
from ophora_curation.source import decord_child
from ophora_curation.source.container import Source, find_source
from ophora_curation.source.dicom import StreamFile
from ophora_curation.source.probe import Probe
from ophora_curation.source.reader import Frame, RgbImage

START_TIMEOUT_S = 60.0  # decord indexes the whole file before its first frame
FRAME_TIMEOUT_S = 20.0
_UNKNOWN_CODECS = ("av1",)
_COPY_BYTES = 1 << 20


@dataclass(slots=True)
class _Child:
    """The decoding process and the pipe that it writes to."""

    process: subprocess.Popen[bytes]

    def message(self, timeout_s: float) -> dict[str, Any]:
        """The next message. Raises `VideoRefused` for silence, an end or nonsense."""
        length = self.read(decord_child.HEADER_BYTES, timeout_s)
        answer: dict[str, Any] = json.loads(self.read(int(length), timeout_s))
        return answer

    def read(self, count: int, timeout_s: float) -> bytearray:
        """Exactly so many bytes. Raises `VideoRefused`; the caller then kills the child."""
        assert self.process.stdout is not None
        pipe, got = self.process.stdout.fileno(), bytearray()
        deadline_s = time.monotonic() + timeout_s
        while len(got) < count:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline_s - time.monotonic()))
            if not ready:
                raise VideoRefused("timed-out")
            part = os.read(pipe, count - len(got))
            if not part:
                raise VideoRefused("damaged")
            got += part
        return got


class DecordReader:
    """Iterate, or `frames_from` for parts; see `Reader`. Its counts know only what is missing."""

    def __init__(
        self, path: Path, probe: Probe, *, frame_timeout_s: float = FRAME_TIMEOUT_S
    ) -> None:
        if probe.codec in _UNKNOWN_CODECS:
            raise VideoRefused("no-decoder")
        self._probe = probe
        self._source = probe.source or find_source(path)
        self._frame_timeout_s = frame_timeout_s
        self.num_damaged = 0
        self.num_lost = 0

    def __iter__(self) -> Iterator[Frame]:
        """Every decodable frame. Raises `VideoRefused` where decord opens nothing or hangs."""
        count = claimed = 0
        for number, in_file, frame in self._frames(0.0):
            count, claimed = number + 1, in_file
            yield frame
        self.num_lost = max(0, max(claimed, self._probe.claimed_frames) - count)

    def frames_from(self, time_s: float) -> Iterator[Frame]:
        """From the frame at or before `time_s`."""
        for _, _, frame in self._frames(time_s):
            yield Frame(index=-1, time_s=frame.time_s, image=frame.image)

    def _frames(self, time_s: float) -> Iterator[tuple[int, int, Frame]]:
        with _plain_path(self._source) as path, _started(path, time_s) as child:
            head = child.message(START_TIMEOUT_S)
            if "error" in head:
                raise VideoRefused("unreadable")
            for number in range(int(head["frames"])):
                message = child.message(self._frame_timeout_s)
                if "time_s" not in message:
                    return
                height, width = int(message["height"]), int(message["width"])
                if height * width > 4 * self._probe.width * self._probe.height:
                    raise VideoRefused("too-large")
                data = child.read(height * width * 3, self._frame_timeout_s)
                rgb = np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3)
                image = RgbImage(rgb)
                frame = Frame(index=number, time_s=float(message["time_s"]), image=image)
                yield number, int(head["claimed"]), frame


@contextmanager
def _started(path: str, time_s: float) -> Iterator[_Child]:
    """The child; it is killed and waited for in the end, whatever it is doing."""
    command = [sys.executable, "-m", decord_child.__name__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **pipes, pass_fds=_inherited(path))  # type: ignore[call-overload]
    try:
        process.stdin.write(json.dumps({"path": path, "time_s": time_s}).encode())
        process.stdin.close()
        yield _Child(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def _plain_path(source: Source) -> Iterator[str]:
    """A path that decord can open: a DICOM file's stream is copied to a file without a name."""
    if source.encapsulated is None:
        yield str(source.path.absolute())
        return
    with (
        StreamFile(source.path, source.encapsulated) as stream,
        tempfile.TemporaryFile() as copy,
    ):
        while part := stream.read(_COPY_BYTES):
            copy.write(part)
        copy.flush()
        yield f"/proc/self/fd/{copy.fileno()}"


def _inherited(path: str) -> tuple[int, ...]:
    marker = "/proc/self/fd/"
    return (int(path.removeprefix(marker)),) if path.startswith(marker) else ()
