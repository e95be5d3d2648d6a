"""What a clip shows that it should not: burned-in lines and faces, with their places.

A detector that is missing or breaks is an outcome of its own, which holds the clip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ophora_curation.picture.lines import find_lines
from ophora_curation.picture.stills import Still, make_stills
from ophora_curation.picture.text_detector import TextDetector
from ophora_curation.settings import CurationSettings
from ophora_curation.store.records import Box, Finding

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
_BAD = frozenset({"personal", "unread", "face"})


class Faces(Protocol):
    """A face detector (face_detector.py)."""

    def find(self, picture: Picture) -> list[tuple[Box, float]]:
        """Boxes and scores of the faces in an RGB picture of any size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found; `failure` names the detector that could not do its work, or is ""."""

    findings: tuple[Finding, ...] = ()
    failure: str = ""

    @property
    def bad(self) -> tuple[Finding, ...]:
        """The findings that must not be seen."""
        return tuple(finding for finding in self.findings if finding.kind in _BAD)

    @property
    def has_face(self) -> bool:
        """Whether a face was found."""
        return any(finding.kind == "face" for finding in self.findings)


def inspect(
    pictures: Sequence[Picture],
    *,
    fps: float,
    text: Callable[[], TextDetector],
    faces: Callable[[], Faces],
    settings: CurationSettings,
) -> Inspection:
    """Look at all of a clip's pictures; boxes are in their pixels."""
    stills = make_stills(pictures, fps=fps)
    try:
        lines = find_lines(stills, text(), settings)
    except Exception:  # fail closed, whatever broke inside the detector
        return Inspection(failure="overlay-detector-failed")
    found = [
        Finding(detector="text", kind=kind, box=line.box, score=round(line.score, 3))
        for line, kind in lines
    ]
    try:
        found += _find_faces(stills, faces(), settings)
    except Exception:  # the same
        return Inspection(findings=tuple(found), failure="face-detector-failed")
    return Inspection(findings=tuple(found))


def _find_faces(
    stills: Sequence[Still], detector: Faces, settings: CurationSettings
) -> list[Finding]:
    return [
        Finding(detector="face", kind="face", box=box, score=round(score, 3))
        for still in stills
        for box, score in detector.find(still.middle)
        if score >= settings.face_score
    ]
