"""The detectors a worker holds, each loaded at its first use and only once.

A detector that could not be loaded stays missing: asking for it raises `DetectorMissing` again,
and what depended on it is held or refused.
"""

from typing import TYPE_CHECKING

from ophora_curation.errors import DetectorMissing

if TYPE_CHECKING:
    from ophora_curation.narration.speech import SpeechRecognizer
    from ophora_curation.picture.text_detector import TextDetector
    from ophora_curation.text.deidentify import TextDeidentifier


class Detectors:
    """Speech, text and overlay detectors of one worker."""

    def __init__(self, speech_threads: int = 1) -> None:
        self._speech_threads = speech_threads
        self._speech: SpeechRecognizer | None = None
        self._text: TextDeidentifier | None = None
        self._overlay: TextDetector | None = None
        self._missing: dict[str, str] = {}

    @property
    def speech(self) -> "SpeechRecognizer":
        """Speech to text; its model loads when it first listens."""
        if self._speech is None:
            from ophora_curation.narration.speech import SpeechRecognizer

            self._speech = SpeechRecognizer(self._speech_threads)
        return self._speech

    @property
    def text(self) -> "TextDeidentifier":
        """The text de-identifier. Raises `DetectorMissing`."""
        self._refuse_missing("text")
        if self._text is None:
            from ophora_curation.text.deidentify import TextDeidentifier

            try:
                self._text = TextDeidentifier()
            except DetectorMissing as error:
                self._missing["text"] = str(error)
                raise
        return self._text

    @property
    def overlay(self) -> "TextDetector":
        """The detector of burned-in text. Raises `DetectorMissing`."""
        self._refuse_missing("overlay")
        if self._overlay is None:
            from ophora_curation.picture.text_detector import TextDetector

            try:
                self._overlay = TextDetector()
            except DetectorMissing as error:
                self._missing["overlay"] = str(error)
                raise
        return self._overlay

    def versions(self) -> dict[str, str]:
        """What a clip's lineage says of the detectors."""
        return dict(VERSIONS)

    def _refuse_missing(self, name: str) -> None:
        if name in self._missing:
            raise DetectorMissing(self._missing[name])


VERSIONS = {
    "overlay_detector": "PP-OCRv6-small/090f04abcd9d",
    "text_detector": "presidio-2.2.366+en_core_web_sm-3.8.0",
    "speech_model": "whisper-tiny.en",
    "instruction_rules": "1",
}
