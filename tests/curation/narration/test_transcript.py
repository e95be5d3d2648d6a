"""JSON transcripts: those of common recognisers are read, other JSON is left alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from ophora_curation.errors import VideoRefused
from ophora_curation.narration.subtitles import read_sidecar

FIRST = {"start": 1.0, "end": 3, "text": " We polish."}
SECOND = {"start": 4, "end": 5.5, "text": " Then we stop. "}
WORDS = [{"word": "We", "start": 1.0, "end": 1.2, "score": 0.9}, {"word": "polish."}]


def read(tmp_path: Path, content: Any) -> list[tuple[float, float, str]]:
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return [(line.start_s, line.end_s, line.text) for line in read_sidecar(path)]


@pytest.mark.parametrize(
    "content",
    [
        [FIRST, SECOND],
        [SECOND, FIRST],
        {"segments": [FIRST, SECOND]},
        {"text": "We ...", "language": "en", "segments": [{"id": 0, **FIRST}, {"id": 1, **SECOND}]},
        {"segments": [{**FIRST, "words": WORDS}, SECOND], "word_segments": WORDS},
    ],
)
def test_transcripts_are_read(tmp_path: Path, content: Any) -> None:
    assert read(tmp_path, content) == [(1.0, 3.0, "We polish."), (4.0, 5.5, "Then we stop.")]


@pytest.mark.parametrize(
    "content",
    [{}, [], {"camera": "x", "frames": [1, 2]}, [1, 2], "7", "null", [{"text": "a"}],
     {"segments": []}, [{"start": 1, "end": 1, "text": "x"}]],
)  # fmt: skip
def test_other_json_says_nothing(tmp_path: Path, content: Any) -> None:
    assert read(tmp_path, content) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\x00\x01",
        "[" * 200_000,
        '{"segments": ' * 100_000,
        '[{"start": ' + "9" * 5000 + ', "end": 2, "text": "x"}]',
        '[{"start": 1e400, "end": 1e400, "text": "x"}]',
        '[{"start": NaN, "end": 2, "text": "x"}]',
        {"segments": {"a": 1}},
        {"segments": None},
        {"segments": [1]},
        {"segments": [{"start": 1, "end": 2}]},
        {"segments": [{"end": 2, "text": "x"}]},
        [FIRST, {"start": 4, "end": 2, "text": "x"}],
        [FIRST, {"start": -4, "end": 2, "text": "x"}],
        [FIRST, {"start": True, "end": 2, "text": "x"}],
        [FIRST, {"start": "4", "end": 5, "text": "x"}],
        [FIRST, {"start": 4, "end": None, "text": "x"}],
        [FIRST, {"start": 4, "end": 5, "text": ["x"]}],
        [FIRST] * 20_001,
    ],
    ids=range(20),
)
def test_malformed_transcripts_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(VideoRefused, match="bad-sidecar"):
        read(tmp_path, content)
