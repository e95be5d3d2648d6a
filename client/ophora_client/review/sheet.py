"""Contact sheets: a clip's frames at even distances in one JPEG, made in memory and never stored.

What detectors found is outlined: masked in green, left as it is in amber, barred in red.
"""

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from ophora_client.review.desk import DecisionRefused
from ophora_curation.store.records import Finding

Picture = npt.NDArray[np.uint8]
_GAP = 6
_CELL_WIDTH = 360
_LABEL = 19  # height of a label
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_JPEG_QUALITY = 88
_MASKED, _HARMLESS, _BARRED = (64, 192, 87), (255, 176, 32), (240, 62, 62)  # RGB
_BARRED_KINDS = frozenset({"personal", "face"})


def contact_sheet(
    path: Path, findings: Sequence[Finding], *, columns: int = 3, rows: int = 3
) -> bytes:
    """A JPEG of `columns` x `rows` frames at most; a shorter clip has fewer.

    Raises `DecisionRefused` for a file that can't be decoded.
    """
    pictures = sample_frames(path, columns * rows)
    cells = [_cell(picture, findings) for picture in pictures]
    height, width = cells[0].shape[:2]
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    sheet = np.zeros((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), np.uint8)
    for position, cell in enumerate(cells):
        top = position // columns * (height + _GAP)
        left = position % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = cell
    return encode_jpeg(sheet)


def sample_frames(path: Path, num_frames: int) -> list[Picture]:
    """RGB frames at even distances, the first and the last among them."""
    pictures: list[Picture] = []
    try:
        with av.open(path, format="mp4") as container:
            container.streams.video[0].codec_context.thread_count = 1
            pictures = [
                np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8)
                for frame in container.decode(video=0)
            ]
    except (av.FFmpegError, IndexError) as error:
        message = "the clip can't be decoded: curate its video again"
        raise DecisionRefused(message) from error
    if not pictures:
        message = "the clip holds no frames: curate its video again"
        raise DecisionRefused(message)
    wanted = np.linspace(0, len(pictures) - 1, min(num_frames, len(pictures)))
    return [pictures[round(position)] for position in wanted]


def encode_jpeg(picture: Picture) -> bytes:
    """An RGB picture as JPEG."""
    done, coded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    assert done
    return coded.tobytes()


def _cell(picture: Picture, findings: Sequence[Finding]) -> Picture:
    """One frame at the sheet's size with its outlines."""
    scale = _CELL_WIDTH / picture.shape[1]
    size = (_CELL_WIDTH, max(1, round(picture.shape[0] * scale)))
    cell: Picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for found in findings:
        colour = _colour(found)
        left, top, right, bottom = (round(side * scale) for side in found.box)
        cv2.rectangle(cell, (left, top), (right, bottom), colour, 2, cv2.LINE_AA)
        label = f"{found.kind}, masked" if found.masked else found.kind
        _write(cell, label, colour, left=left, top=top - _LABEL if top >= _LABEL else bottom)
    return cell


def _write(cell: Picture, label: str, colour: tuple[int, int, int], *, left: int, top: int) -> None:
    """Dark letters on a bar of the outline's colour, kept inside the cell."""
    (width, _), _ = cv2.getTextSize(label, _FONT, 0.5, 1)
    left = max(0, min(left, cell.shape[1] - width - 8))
    top = max(0, min(top, cell.shape[0] - _LABEL))
    cv2.rectangle(cell, (left, top), (left + width + 8, top + _LABEL), colour, cv2.FILLED)
    cv2.putText(cell, label, (left + 4, top + 14), _FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)


def _colour(found: Finding) -> tuple[int, int, int]:
    if found.masked:
        return _MASKED
    return _BARRED if found.kind in _BARRED_KINDS else _HARMLESS
