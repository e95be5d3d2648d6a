"""Small real video files for tests: any container, codec and pixel format, DICOM too."""

import io
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
SIZE = (192, 128)


def scene(number: int, *, size: tuple[int, int] = SIZE) -> Picture:
    """A picture of smooth coloured patches, another one for every number."""
    rng = np.random.default_rng([number, 99])
    coarse = rng.integers(20, 236, (5, 7, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def shot(
    number: int, frames: int, *, size: tuple[int, int] = SIZE, speed: int = 2
) -> list[Picture]:
    """A scene that moves sideways, with sensor noise."""
    wide = scene(number, size=(size[0] * 2, size[1]))
    rng = np.random.default_rng(number)
    pictures = []
    for index in range(frames):
        view = np.roll(wide, -speed * index, axis=1)[:, : size[0]].astype(np.int16)
        view += rng.integers(-3, 4, (*view.shape[:2], 1), dtype=np.int16)
        pictures.append(np.clip(view, 0, 255).astype(np.uint8))
    return pictures


def write_video(
    path: Path | io.BytesIO,
    pictures: Iterable[Picture],
    *,
    kind: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    fps: int = 8,
    times: Sequence[int] = (),
    rotation: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Any:
    """Encode the pictures; `times` (in frames) makes the rate variable. Returns `path`."""
    with av.open(path, "w", format=kind, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        if rotation:
            stream.set_display_rotation(rotation)
        stream.pix_fmt = pixels
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[index] if times else index
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def wrap_in_dicom(
    path: Path, stream: bytes, *, syntax: str, fragments: int = 1, frame_ms: float = 125.0
) -> Path:
    """A DICOM file that carries the stream, cut into so many fragments."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.PatientName = "Poe^Mary"
    dataset.FrameTime = frame_ms
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    part = -(-len(stream) // fragments)
    part += part % 2
    pieces = [stream[at : at + part] for at in range(0, len(stream), part)]
    items = b"".join(_item(piece + b"\0" * (len(piece) % 2)) for piece in pieces)
    head = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + _item(b"")
    path.write_bytes(buffer.getvalue() + head + items + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00")
    return path


def _item(content: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content)) + content
