"""Subtitles: sentences with times from any file, limits on hostile ones."""

import time
from pathlib import Path

import pytest

from ophora_curation.errors import VideoRefused
from ophora_curation.narration.subtitles import (
    MAX_BYTES,
    MAX_CUES,
    MAX_SENTENCE,
    find_sidecar,
    read_sidecar,
)


def test_srt_is_cut_into_sentences(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(
        "1\n00:00:01,000 --> 00:00:05,000\nI open the <i>capsule</i>. Then we\npolish.\n\n"
        "2\n00:00:06,500 --> 00:00:08,000\nNow this is Dr. Weiss here.\n",
        encoding="utf-8",
    )
    said = read_sidecar(path)
    assert [line.text for line in said] == [
        "I open the capsule.",
        "Then we polish.",
        "Now this is Dr. Weiss here.",  # the name stays with its title
    ]
    assert said[0].start_s == 1.0
    assert said[1].end_s == 5.0
    assert said[0].end_s == said[1].start_s


def test_webvtt_without_hours(tmp_path: Path) -> None:
    path = tmp_path / "a.vtt"
    path.write_text("WEBVTT\n\n00:02.500 --> 00:04.000 align:start\nPolish\n", encoding="utf-8")
    (line,) = read_sidecar(path)
    assert (line.start_s, line.end_s, line.text) == (2.5, 4.0, "Polish")


def test_nonsense_has_no_sentences(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes(b"\xff\xfe\x00 --> nothing")
    assert read_sidecar(path) == []


def test_narration_is_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:05,000\nPatient Mary Poe.\n", encoding="utf-8")
    assert "Poe" not in repr(read_sidecar(path))


def test_srt_comes_before_vtt(tmp_path: Path) -> None:
    for suffix in (".mp4", ".vtt", ".srt"):
        (tmp_path / f"a{suffix}").touch()
    assert find_sidecar(tmp_path / "a.mp4") == tmp_path / "a.srt"
    assert find_sidecar(tmp_path / "b.mp4") is None


def test_a_sentence_broken_over_two_cues_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nThis is Mr.\n\n"
        "2\n00:00:02,100 --> 00:00:04,000\nAhmed Weiss\n\n"
        "3\n00:00:04,100 --> 00:00:06,000\nfrom Ulm. We polish.\n",
        encoding="utf-8",
    )
    said = read_sidecar(path)
    assert [line.text for line in said] == ["This is Mr. Ahmed Weiss from Ulm.", "We polish."]
    assert (said[0].start_s, said[1].end_s) == (1.0, 6.0)


def write_cues(path: Path, *cues: tuple[float, float, str]) -> Path:
    """An SRT with these cues."""
    parts = [f"{at}\n{stamp(a)} --> {stamp(b)}\n{text}\n" for at, (a, b, text) in enumerate(cues)]
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def stamp(time_s: float) -> str:
    minutes, seconds = divmod(time_s, 60)
    return f"{int(minutes // 60):02}:{int(minutes % 60):02}:{seconds:06.3f}".replace(".", ",")


def test_json_comes_last(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    (tmp_path / "a.truth.json").touch()
    assert find_sidecar(tmp_path / "a.mp4") == tmp_path / "a.json"
    (tmp_path / "a.vtt").touch()
    assert find_sidecar(tmp_path / "a.mp4") == tmp_path / "a.vtt"
    (tmp_path / "b.truth.json").touch()
    assert find_sidecar(tmp_path / "b.mp4") is None


def test_windows_subtitles_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nPolish.\n".encode("utf-16"))
    assert [line.text for line in read_sidecar(path)] == ["Polish."]


def test_less_than_is_no_tag(tmp_path: Path) -> None:
    path = write_cues(tmp_path / "a.srt", (1, 2, "Pressure < 20 and <b>flow</b> > 10."))
    assert [line.text for line in read_sidecar(path)] == ["Pressure < 20 and flow > 10."]


def test_cues_said_twice_at_one_time_are_one(tmp_path: Path) -> None:
    cues = [(1, 2, "Polish."), (1, 2, "Polish."), (1.5, 3, "Polish."), (4, 5, "Polish.")]
    said = read_sidecar(write_cues(tmp_path / "a.srt", *cues))
    assert [(line.start_s, line.end_s) for line in said] == [(1, 3), (4, 5)]


def test_long_sentences_are_cut_at_a_word(tmp_path: Path) -> None:
    text = " ".join(f"word{number}" for number in range(300))
    said = read_sidecar(write_cues(tmp_path / "a.srt", (0, 30, text)))
    assert " ".join(line.text for line in said) == text
    assert len(said) == -(-len(text) // MAX_SENTENCE)
    assert max(len(line.text) for line in said) <= MAX_SENTENCE
    assert said[0].start_s == 0
    assert said[-1].end_s == pytest.approx(30)
    assert [a.end_s for a in said[:-1]] == [b.start_s for b in said[1:]]


def test_a_word_without_end_is_cut(tmp_path: Path) -> None:
    said = read_sidecar(write_cues(tmp_path / "a.srt", (0, 30, "x" * 1000)))
    assert [len(line.text) for line in said] == [400, 400, 200]


@pytest.mark.parametrize(
    "cues",
    [
        [(1.0, 2.0, "x")] * (MAX_CUES + 1),
        [(1.0, 2.0, "y " * 26_000)] * 10,
        [(1.0, 2.0, "z" * MAX_BYTES)],
    ],
    ids=["cues", "characters", "bytes"],
)
def test_bombs_are_refused(tmp_path: Path, cues: list[tuple[float, float, str]]) -> None:
    with pytest.raises(VideoRefused, match="bad-sidecar"):
        read_sidecar(write_cues(tmp_path / "a.srt", *cues))


@pytest.mark.parametrize("step_s", [0.0, 0.001, 1.0])
def test_many_overlapping_cues_are_read_fast(tmp_path: Path, step_s: float) -> None:
    cues = [(at * step_s, at * step_s + 9, f"we go on {at}") for at in range(8000)]
    path = write_cues(tmp_path / "a.srt", *cues, (9000, 9001, "End."))
    before_s = time.process_time()
    said = read_sidecar(path)
    assert time.process_time() - before_s < 2
    assert said[-1].text == "End."


@pytest.mark.parametrize("text", ["<" * 200_000, "1" * 200_000, "1:" * 100_000, "{\\" * 100_000])
def test_hostile_lines_are_read_fast(tmp_path: Path, text: str) -> None:
    path = write_cues(tmp_path / "a.srt", (1, 2, text), (3, 4, text + "-->"))
    before_s = time.process_time()
    assert read_sidecar(path)[0].start_s == 1
    assert time.process_time() - before_s < 2
