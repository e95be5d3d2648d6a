import pytest

from ophora_privacy.page import words


@pytest.mark.parametrize(
    ("num_bytes", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_900, "1 MB"), (2.5e12, "2.5 TB")],
)
def test_sizes(num_bytes: float, said: str) -> None:
    assert words.size(num_bytes) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.5, "0.5 s"),
        (59, "59 s"),
        (90, "2 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (9e4, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_what_is_not_known_is_said_in_words() -> None:
    for each in (words.moment, words.duration, words.size, words.figure, words.short):
        assert each(None) == words.NONE


def test_moments_are_utc() -> None:
    assert words.moment(0.0) == "1970-01-01 00:00 UTC"
    assert words.ago(0.0, now=7200.0) == "2 h ago"
    assert words.ago(10.0, now=7.0) == "just now"
