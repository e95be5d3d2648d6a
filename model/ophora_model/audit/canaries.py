"""Canaries: invented patients of whom a coin keyed by the site's secret includes every other one.

    secret, number -> coin, ids, words, a moving pattern, a code written on it -> clip

Each canary is one patient with one clip, unlike anything else at the site, so it is as easy to
learn by heart as data can be; whoever trains on the included half and can tell the halves apart
afterwards has shown a loss of privacy (one-run audit, arXiv 2305.08846). The coins never leave the
site. Nothing in a canary comes from a person.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ophora_model.audit.glyphs import ALPHABET, draw_code
from ophora_model.presets import Preset
from ophora_model.strict import check_whole
from ophora_model.video import Frames

PREFIX = "canary-"
CODE_LENGTH = 6
_SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in "aeiou")
_BLOBS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One invented patient. `included` is the coin: it decides training, and stays secret."""

    clip_id: str
    patient_id: str
    instruction: str
    code: str
    included: bool
    seed: int


def draw_canaries(secret: bytes, count: int) -> list[Canary]:
    """The same for the same secret; more canaries keep those before. Raises `PlanInvalid`."""
    check_whole("canaries", count, low=1, high=100_000)
    return [_draw(secret, number) for number in range(count)]


def canary_frames(canary: Canary, preset: Preset) -> Frames:
    """[frames, height, width, 3]: coloured blobs that drift, with the code written across."""
    rng = np.random.default_rng(canary.seed)
    rows, columns = np.mgrid[0 : preset.height, 0 : preset.width] / preset.height
    colours = rng.uniform(0, 255, (_BLOBS + 1, 3))
    starts = rng.uniform(0, 1, (_BLOBS, 2)) * (1, preset.width / preset.height)
    speeds, sizes = rng.uniform(-0.4, 0.4, (_BLOBS, 2)), rng.uniform(0.15, 0.4, _BLOBS)
    frames = []
    for share in np.linspace(0, 1, preset.frames):
        picture = np.broadcast_to(colours[-1], (*rows.shape, 3)).copy()
        for colour, start, speed, size in zip(colours, starts, speeds, sizes, strict=False):
            row, column = start + share * speed
            away = ((rows - row) ** 2 + (columns - column) ** 2) / size**2
            picture += (colour - picture) * np.exp(-2 * away)[..., None]
        frames.append(draw_code(picture.astype(np.uint8), canary.code))
    return np.stack(frames)


def coins(canaries: Sequence[Canary]) -> list[bool]:
    """Which were included, in order."""
    return [canary.included for canary in canaries]


def _draw(secret: bytes, number: int) -> Canary:
    def keyed(purpose: str) -> bytes:
        return hmac.new(secret, f"canary/{purpose}/{number}".encode(), hashlib.sha256).digest()

    seed = int.from_bytes(keyed("look")[:8], "big")
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(_SYLLABLES, 3)) for _ in range(4)]
    name = keyed("id").hex()[:16]
    return Canary(
        clip_id=f"{PREFIX}{name}",
        patient_id=f"{PREFIX}{name}",
        instruction=f"{words[0].capitalize()}: {' '.join(words[1:])}.",
        code="".join(rng.choice(list(ALPHABET), CODE_LENGTH)),
        included=bool(keyed("coin")[0] & 1),
        seed=seed,
    )
