from pathlib import Path

from ophora_curation.narration.subtitles import find_sidecar, read_sidecar


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
