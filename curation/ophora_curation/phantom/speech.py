"""A voice for the audio track: espeak-ng, loaded through ctypes from `espeakng-loader`.

Input is text, output 16-bit mono samples. The library keeps global state, so one `Voice` is
made per process and used from one thread.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.errors import SpeechUnavailable

Samples = NDArray[np.int16]
SYNCHRONOUS: Final = 2  # AUDIO_OUTPUT_SYNCHRONOUS
RATE: Final = 1  # espeakRATE
UTF8: Final = 1
REMEDY: Final = "install the extra: pip install 'ophora-federated[phantom]', or ask for no voice"


class Voice:
    """One synthesiser; `say` returns samples at `sample_rate`."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise SpeechUnavailable(f"espeakng-loader is not installed: {REMEDY}") from error
        library_path = str(espeakng_loader.get_library_path())
        data = Path(str(espeakng_loader.get_data_path()))
        try:
            self._library: Any = ctypes.CDLL(library_path)
        except OSError as error:
            raise SpeechUnavailable(f"espeak-ng does not load: {REMEDY}") from error
        rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, str(data.parent).encode(), 0)
        if rate <= 0:
            raise SpeechUnavailable(f"espeak-ng does not start (code {rate}): {REMEDY}")
        self.sample_rate = int(rate)
        self._parts: list[Samples] = []
        signature = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = signature(self._collect)  # kept alive as long as the library calls it
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_SetVoiceByName(b"en-us")

    def say(self, text: str, *, words_per_minute: int = 165) -> Samples:
        """The spoken text; raises SpeechUnavailable when the library refuses it."""
        self._parts = []
        self._library.espeak_SetParameter(RATE, words_per_minute, 0)
        raw = text.encode()
        code = self._library.espeak_Synth(
            raw, ctypes.c_size_t(len(raw) + 1), 0, 0, 0, UTF8, None, None
        )
        if code != 0:
            raise SpeechUnavailable(f"espeak-ng refused a sentence (code {code})")
        self._library.espeak_Synchronize()
        return np.concatenate(self._parts) if self._parts else np.zeros(0, dtype=np.int16)

    def say_within(self, text: str, length_s: float) -> Samples:
        """As `say`, faster where the sentence would not fit, and cut at `length_s`."""
        pace = 165
        samples = self.say(text, words_per_minute=pace)
        wanted = int(length_s * self.sample_rate)
        if len(samples) > wanted:
            pace = min(300, int(pace * len(samples) / wanted) + 5)
            samples = self.say(text, words_per_minute=pace)
        return samples[:wanted]

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0


@cache
def load_voice() -> Voice:
    """The process's only voice."""
    return Voice()
