"""The detectors a worker holds, each loaded at its first use and only once.

A detector that could not be loaded stays missing: asking for it raises `DetectorMissing` again,
and what depended on it is held or refused.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ophora_curation.errors import DetectorMissing
from ophora_curation.narration.speech_model import model_version
from ophora_curation.settings import CurationSettings
from ophora_curation.text.refining import RefineSettings

if TYPE_CHECKING:
    from ophora_curation.narration.speech import SpeechRecognizer
    from ophora_curation.picture.face_detector import FaceDetector
    from ophora_curation.picture.text_detector import TextDetector
    from ophora_curation.picture.vision import VisionCheck
    from ophora_curation.text.deidentify import TextDeidentifier
    from ophora_curation.text.refiner import Refiner

_Made = TypeVar("_Made")


class Detectors:
    """Everything of one worker that needs a model or an endpoint."""

    def __init__(
        self,
        settings: CurationSettings,
        *,
        refine: RefineSettings | None = None,
        speech_threads: int = 1,
    ) -> None:
        self._settings = settings
        self._refine = refine or RefineSettings()
        self._speech_threads = speech_threads
        self._loaded: dict[str, Any] = {}
        self._missing: dict[str, str] = {}

    @property
    def speech(self) -> "SpeechRecognizer":
        """Speech to text; its model loads when it first listens."""
        from ophora_curation.narration.speech import SpeechRecognizer

        return self._once(
            "speech", lambda: SpeechRecognizer(self._settings, threads=self._speech_threads)
        )

    @property
    def text(self) -> "TextDeidentifier":
        """The text de-identifier. Raises `DetectorMissing`."""
        from ophora_curation.text.deidentify import TextDeidentifier

        return self._once("text", TextDeidentifier)

    @property
    def refiner(self) -> "Refiner":
        """What writes instructions: the site's endpoint or the embedded rules."""
        from ophora_curation.text.refiner import make_refiner

        return self._once("refiner", lambda: make_refiner(self._refine, self.text))

    @property
    def overlay(self) -> "TextDetector":
        """The detector of burned-in text. Raises `DetectorMissing`."""
        from ophora_curation.picture.text_detector import TextDetector

        return self._once("overlay", TextDetector)

    @property
    def faces(self) -> "FaceDetector":
        """The detector of faces. Raises `DetectorMissing`."""
        from ophora_curation.picture.face_detector import FaceDetector

        score = self._settings.face_score
        return self._once("faces", lambda: FaceDetector(min_score=score))

    @property
    def vision(self) -> "VisionCheck | None":
        """The site's vision model; None where the site names none."""
        if not self._refine.vision_model:
            return None
        from ophora_curation.picture.vision import VisionCheck
        from ophora_curation.text.endpoint import Endpoint

        return self._once(
            "vision", lambda: VisionCheck(Endpoint(self._refine), self._refine.vision_model)
        )

    def versions(self) -> dict[str, str]:
        """What a clip's lineage says of the detectors."""
        return versions(self._settings)

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        if name in self._missing:
            raise DetectorMissing(self._missing[name])
        if name not in self._loaded:
            try:
                self._loaded[name] = make()
            except DetectorMissing as error:
                self._missing[name] = str(error)
                raise
        made: _Made = self._loaded[name]
        return made


def versions(settings: CurationSettings) -> dict[str, str]:
    """Detectors with versions and model hashes: what of them can change a video's outcome."""
    return {**_FIXED, "speech_model": model_version(settings)}


_FIXED = {
    "overlay_detector": "PP-OCRv6-small/090f04abcd9d on means of 1.7 s",
    "face_detector": "centerface/09189deaaf86",
    "text_detector": "presidio-2.2.366+en_core_web_sm-3.8.0",
    "instruction_rules": "3",
}
