"""The process that decord runs in: reads one order, writes frames to its output, ends.

An order is JSON with `path` and `time_s`. Each message back is its length in decimal digits, JSON,
and for a frame its RGB bytes. The first message says how many frames follow.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import IO, Any

HEADER_BYTES = 16
_PR_SET_PDEATHSIG = 1


def _send(pipe: IO[bytes], message: dict[str, Any], data: bytes = b"") -> None:
    text = json.dumps(message).encode()
    pipe.write(b"%0*d" % (HEADER_BYTES, len(text)))
    pipe.write(text)
    pipe.write(data)
    pipe.flush()


def serve(orders: IO[bytes], pipe: IO[bytes]) -> None:
    """The child: decode one file and write its frames. An error ends it with a message."""
    order = json.loads(orders.read())
    try:
        import decord  # type: ignore[import-untyped]

        video = decord.VideoReader(order["path"], ctx=decord.cpu(0), num_threads=1)
        times_s = video.get_frame_timestamp(range(len(video)))[:, 0]
    except Exception as error:  # the edge of the process; the text may hold the path
        _send(pipe, {"error": type(error).__name__})
        return
    starts_s = times_s - times_s[:1]
    first = max(0, int(starts_s.searchsorted(order["time_s"], side="right")) - 1)
    _send(pipe, {"frames": len(video) - first, "claimed": len(video)})
    if first:
        video.seek_accurate(first)
    for number in range(first, len(video)):
        try:
            frame = video.next().asnumpy()
        except Exception as error:  # as above
            _send(pipe, {"error": type(error).__name__})
            return
        height, width, _ = frame.shape
        shape = {"time_s": float(starts_s[number]), "height": height, "width": width}
        _send(pipe, shape, frame.tobytes())


def main() -> None:
    """End with the parent; nothing but frames reaches the pipe."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    pipe = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    serve(sys.stdin.buffer, pipe)


if __name__ == "__main__":
    main()
