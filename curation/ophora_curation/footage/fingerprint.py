"""Perceptual hashes: two per second of a video, and the fingerprint of a clip made of them.

A hash has 64 bits: half say how the picture is spread over low frequencies, half how that has
changed since the hash before. The second half keeps neighbours of one long shot apart, which look
alike but do not move alike; a copy that was encoded, scaled or slightly cropped keeps both.
"""

import math
from array import array
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.footage.planes import Small

EVERY_S = 0.5
_SIDE = 32
_BITS = 64
_HEX = _BITS // 4
_MAX_SLIP = 2  # hashes by which two fingerprints may differ in length and still be compared

Hashes = npt.NDArray[np.uint64]
Frequencies = npt.NDArray[np.float32]


class Hashed(Protocol):
    """What carries the hashes of a video."""

    @property
    def fingerprints(self) -> Hashes:
        """One hash for each time."""
        ...

    @property
    def fingerprint_times_s(self) -> npt.NDArray[np.float64]:
        """When the hashed frames are shown."""
        ...


class Hasher:
    """Hashes frames on an even clock; feed it every frame."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._before: Frequencies | None = None
        self._hashes = array("Q")
        self._times_s = array("d")

    def add(self, luma: Small, time_s: float) -> None:
        """Hash the frame if its time has come."""
        if time_s < self._next_s - 1e-3:
            return
        self._next_s = (math.floor(time_s / EVERY_S + 1e-3) + 1) * EVERY_S
        now = _frequencies(luma)
        before = now if self._before is None else self._before
        self._hashes.append(_hash(now, now - before))
        self._times_s.append(time_s)
        self._before = now

    def result(self) -> tuple[Hashes, npt.NDArray[np.float64]]:
        """All hashes with their times."""
        return np.array(self._hashes, np.uint64), np.array(self._times_s, np.float64)


def clip_fingerprint(seen: Hashed, start_s: float, end_s: float) -> str:
    """The hashes of a clip's frames, 16 hexadecimal digits each; "" for a clip without one."""
    first, last = np.searchsorted(seen.fingerprint_times_s, (start_s - 1e-3, end_s - 1e-3))
    return "".join(f"{int(value):016x}" for value in seen.fingerprints[first:last])


def distance(one: str, two: str) -> float:
    """Mean number of bits of 64 that differ, at the best alignment.

    Infinite where one is empty or their lengths differ by more than a second: they can't be copies
    of one clip. Raises `ValueError` for text that is no fingerprint.
    """
    first, second = sorted((_numbers(one), _numbers(two)), key=len)
    slip = len(second) - len(first)
    if not len(first) or slip > _MAX_SLIP:
        return math.inf
    return min(
        float(np.bitwise_count(first ^ second[start : start + len(first)]).mean())
        for start in range(slip + 1)
    )


def _numbers(fingerprint: str) -> Hashes:
    if len(fingerprint) % _HEX:
        raise ValueError(f"fingerprint of {len(fingerprint)} digits: must be a multiple of {_HEX}")
    starts = range(0, len(fingerprint), _HEX)
    return np.array([int(fingerprint[at : at + _HEX], 16) for at in starts], np.uint64)


def _frequencies(luma: Small) -> Frequencies:
    square = cv2.resize(luma, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.dct(square), np.float32)


def _hash(now: Frequencies, change: Frequencies) -> int:
    bits = np.concatenate([_signs(now), _signs(change)])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _signs(frequencies: Frequencies) -> npt.NDArray[np.bool_]:
    """32 low frequencies without the mean: above their median or not."""
    low = frequencies[:6, :6].ravel()[1:33]
    return np.asarray(low > np.median(low))
