"""Speech: words from a synthetic voice, none from noise, no halves of doubtful sentences."""

from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from ophora_curation.narration import speech
from ophora_curation.narration.speech import (
    HOTWORDS,
    SpeechRecognizer,
    find_speech,
    is_echo,
    pack,
)
from ophora_curation.phantom.speech import load_voice
from ophora_curation.settings import CurationSettings
from ophora_curation.source.sound import RATE

Sound = npt.NDArray[np.int16]
EASY = CurationSettings(min_word_probability=0.0)


def say(text: str) -> Sound:
    voice = load_voice()
    frame = av.AudioFrame.from_ndarray(voice.say(text)[None], format="s16", layout="mono")
    frame.sample_rate = voice.sample_rate
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray()[0] for part in parts]).astype(np.int16)


def quiet(seconds: float) -> Sound:
    return np.zeros(int(seconds * RATE), np.int16)


def tone(hertz: float, seconds: float = 6.0) -> npt.NDArray[np.float64]:
    return np.sin(np.arange(int(seconds * RATE)) * 2 * np.pi * hertz / RATE)


def music(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Chords of four notes with harmonics, one every half second."""
    chords = [220.0 * 2 ** (rng.integers(0, 24, 4) / 12) for _ in range(12)]
    fade = np.exp(-np.arange(RATE // 2) / RATE * 4)
    parts = [
        sum(tone(note * step, 0.5) / step for note in chord for step in (1, 2, 3)) * fade / 8
        for chord in chords
    ]
    return np.concatenate([np.asarray(part) for part in parts])


class FakeModel:
    """Hears the given words at even distances in the first window it is given."""

    def __init__(self, *words: tuple[str, float], logprob: float = -0.3) -> None:
        self.words = words
        self.logprob = logprob
        self.calls = 0

    def transcribe(self, sound: npt.NDArray[np.float32], **_: Any) -> Any:
        self.calls += 1
        step = len(sound) / RATE / max(1, len(self.words))
        words = [
            SimpleNamespace(start=at * step, end=(at + 1) * step, word=" " + word, probability=sure)
            for at, (word, sure) in enumerate(self.words)
        ]
        segment = SimpleNamespace(
            words=words, no_speech_prob=0.1, avg_logprob=self.logprob, compression_ratio=1.0
        )
        return [segment], None


def listen_with(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch, settings: CurationSettings | None = None
) -> list[str]:
    """What is understood of one stretch of four seconds."""
    monkeypatch.setattr(speech, "find_speech", lambda _: [(RATE, 5 * RATE)])
    recognizer = SpeechRecognizer(settings or CurationSettings())
    monkeypatch.setattr(recognizer, "_load", lambda: model)
    return [utterance.text for utterance in recognizer.listen(quiet(6))]


def sure(text: str, *, doubtful: str = "") -> FakeModel:
    return FakeModel(*((word, 0.1 if word == doubtful else 0.9) for word in text.split()))


def test_words_are_heard_at_their_times() -> None:
    first, second = (
        say("Now we polish the posterior capsule."),
        say("I rotate the lens into the bag."),
    )
    sound = np.concatenate([quiet(2), first, quiet(4), second, quiet(1)])
    said = SpeechRecognizer(EASY).listen(sound)
    starts = (2.0, 6.0 + len(first) / RATE)
    for words, start_s in (("polish", starts[0]), ("lens", starts[1])):
        (found,) = (part for part in said if words in part.text.lower())
        assert found.start_s == pytest.approx(start_s, abs=0.5)
        assert found.end_s <= len(sound) / RATE


@pytest.mark.parametrize("what", ["silence", "noise", "hum", "tone", "music", "clicks", "nothing"])
def test_what_is_no_speech_says_nothing(what: str) -> None:
    rng = np.random.default_rng(3)
    hum = 0.5 * tone(120) + 0.2 * tone(240) + 0.1 * tone(360)
    waves = {
        "silence": np.zeros(6 * RATE),
        "noise": rng.normal(0, 0.1, 6 * RATE),
        "hum": hum + rng.normal(0, 0.01, 6 * RATE),
        "tone": 0.5 * tone(880),
        "music": music(rng),
        "clicks": (np.arange(6 * RATE) % 4000 < 20) * 0.8,
        "nothing": np.zeros(0),
    }
    sound = (np.clip(waves[what], -1, 1) * 20000).astype(np.int16)
    assert SpeechRecognizer(EASY).listen(sound) == []


def test_a_doubtful_word_takes_its_whole_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    model = sure("Polish it. We do not cut the capsule. Then stop.", doubtful="not")
    strict = CurationSettings(min_word_probability=0.25)
    assert listen_with(model, monkeypatch, strict) == ["Polish it.", "Then stop."]


def test_the_settings_say_what_is_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    model = sure("We do not cut.", doubtful="not")
    lenient = CurationSettings(min_word_probability=0.05)
    assert listen_with(model, monkeypatch, lenient) == ["We do not cut."]
    model.logprob = -2.0
    assert listen_with(model, monkeypatch, lenient) == []
    lenient = CurationSettings(min_word_probability=0.05, min_speech_logprob=-3.0)
    assert listen_with(model, monkeypatch, lenient) == ["We do not cut."]
    strict = CurationSettings(
        min_word_probability=0.05, min_speech_logprob=-3.0, max_no_speech=0.05
    )
    assert listen_with(model, monkeypatch, strict) == []


def test_hot_words_read_back_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_echo(HOTWORDS)
    assert is_echo("Keratome, paracentesis, side port, viscoelastic.")
    assert not is_echo("I polish the posterior capsule with irrigation and aspiration.")
    assert not is_echo("The intraocular lens goes into the capsular bag.")
    assert listen_with(sure("haptic, capsular bag, toric, anterior chamber"), monkeypatch) == []


def test_no_window_is_longer_than_the_model_hears() -> None:
    rng = np.random.default_rng(5)
    edges = np.cumsum(rng.integers(2000, 5 * RATE, 400))
    stretches = [(int(low), int(high)) for low, high in edges.reshape(-1, 2)]
    windows = list(pack(stretches))
    assert [part for window in windows for part in window] == stretches
    for window in windows:
        pieces = speech._padded(window, int(edges[-1]) + RATE)
        assert sum(piece.high - piece.low for piece in pieces) <= 30 * RATE
    assert len(windows) < len(stretches) / 3


def test_blocks_do_not_cut_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    first = say("Now we polish the posterior capsule with the fine tip.")
    sound = np.concatenate([quiet(2), first, quiet(3), first, quiet(3), first, quiet(2)])
    whole = find_speech(sound)
    monkeypatch.setattr(speech, "_BLOCK_S", int(4 + len(first) / RATE * 1.5))
    parts = find_speech(sound)
    assert len(parts) == len(whole)
    assert np.abs(np.array(parts) - np.array(whole)).max() < 0.15 * RATE


def test_the_model_is_not_loaded_for_silence() -> None:
    broken = CurationSettings(speech_model="/nowhere")
    assert SpeechRecognizer(broken).listen(quiet(2)) == []
