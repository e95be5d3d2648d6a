"""Sound: its time zero is the video's, and damage leaves silence, not a shift."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from films import shot, wrap_in_dicom
from ophora_curation.settings import CurationSettings
from ophora_curation.source import sound as sound_module
from ophora_curation.source.probe import probe_video
from ophora_curation.source.sound import RATE, read_sound

SETTINGS = CurationSettings(min_width=32, min_height=32)
H264 = "1.2.840.10008.1.2.4.102"
BLOCK = 1024


def click_track(seconds: float, *clicks_s: float, rate: int = 48000) -> npt.NDArray[np.int16]:
    """Silence with a tone of 0.1 s at each of the times."""
    track = np.zeros(int(seconds * rate), np.int16)
    tone = (12000 * np.sin(np.arange(rate // 10) * 2 * np.pi * 880 / rate)).astype(np.int16)
    for click_s in clicks_s:
        begin = int(click_s * rate)
        track[begin : begin + len(tone)] = tone[: len(track) - begin]
    return track


def clicks_in(sound: npt.NDArray[np.int16]) -> list[float]:
    """When each tone begins, in seconds."""
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 2000)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-RATE) > RATE // 4)]
    return [float(start) / RATE for start in starts]


def write_film(
    path: Path,
    track: npt.NDArray[np.int16],
    *,
    kind: str = "matroska",
    video_s: float = 0.0,
    sound_s: float = 0.0,
    missing_s: tuple[float, float] = (0.0, 0.0),
    broken_s: tuple[float, float] = (0.0, 0.0),
    rate: int = 48000,
) -> Path:
    """Pictures from `video_s` and sound from `sound_s`; some of its packets missing or broken."""
    seconds = len(track) / rate
    with av.open(path, "w", format=kind) as container:
        video = container.add_stream("libx264", rate=8)
        video.height, video.width, video.pix_fmt = 64, 64, "yuv420p"
        audio = container.add_stream("aac", rate=rate, layout="mono")
        for index, picture in enumerate(shot(1, int(seconds * 8), size=(64, 64))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index + int(video_s * 8), Fraction(1, 8)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for begin in range(0, len(track), BLOCK):
            block = av.AudioFrame.from_ndarray(
                track[None, begin : begin + BLOCK], format="s16", layout="mono"
            )
            block.sample_rate, block.time_base = rate, Fraction(1, rate)
            block.pts = begin + int(sound_s * rate)
            for packet in audio.encode(block):
                at_s = begin / rate
                if missing_s[0] <= at_s < missing_s[1]:
                    continue
                if broken_s[0] <= at_s < broken_s[1]:
                    packet = broken(packet)
                container.mux(packet)
        container.mux(audio.encode(None))
    return path


def broken(packet: av.Packet[Any]) -> av.Packet[Any]:
    bad: av.Packet[Any] = av.Packet(b"\xff" * packet.size)
    bad.pts, bad.dts, bad.time_base = packet.pts, packet.dts, packet.time_base
    bad.stream = packet.stream
    return bad


def heard(path: Path) -> npt.NDArray[np.int16]:
    return read_sound(path, probe_video(path, settings=SETTINGS))


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_words_are_where_the_container_says(tmp_path: Path, kind: str, rate: int) -> None:
    track = click_track(3.0, 0.5, 2.0, rate=rate)
    sound = heard(write_film(tmp_path / "a", track, kind=kind, rate=rate))
    assert sound.dtype == np.int16
    assert len(sound) == pytest.approx(3 * RATE, abs=0.1 * RATE)
    assert clicks_in(sound) == pytest.approx([0.5, 2.0], abs=0.06)


def test_sound_that_begins_later_is_preceded_by_silence(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a", click_track(3.0, 0.5), sound_s=1.0)
    assert clicks_in(heard(path)) == pytest.approx([1.5], abs=0.06)


def test_sound_before_the_first_picture_is_cut(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a", click_track(4.0, 0.2, 2.5), video_s=1.0)
    assert clicks_in(heard(path)) == pytest.approx([1.5], abs=0.06)


@pytest.mark.parametrize("what", ["missing_s", "broken_s"])
def test_damage_leaves_silence_of_its_length(tmp_path: Path, what: str) -> None:
    track = click_track(5.0, 0.5, 4.0)
    path = write_film(tmp_path / "a", track, **{what: (1.0, 3.0)})  # type: ignore[arg-type]
    sound = heard(path)
    assert clicks_in(sound)[-1] == pytest.approx(4.0, abs=0.06)


def test_a_broken_clock_does_not_fill_memory(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a", click_track(2.0, 0.5), sound_s=5_000.0)
    assert clicks_in(heard(path)) == pytest.approx([0.5], abs=0.06)


def test_sound_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_module, "MAX_SOUND_S", 1)
    assert len(heard(write_film(tmp_path / "a", click_track(3.0, 2.0)))) == RATE


def test_a_video_without_sound_is_silent(tmp_path: Path) -> None:
    from films import write_video

    assert heard(write_video(tmp_path / "a.mp4", shot(1, 8))).size == 0


def test_sound_in_dicom_is_heard(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a", click_track(3.0, 2.0), kind="mpegts").read_bytes()
    path = wrap_in_dicom(tmp_path / "a.dcm", film, syntax=H264)
    assert clicks_in(heard(path)) == pytest.approx([2.0], abs=0.06)


def test_a_probe_from_elsewhere_needs_no_source(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a", click_track(2.0, 0.5))
    probe = replace(probe_video(path, settings=SETTINGS), source=None)
    assert clicks_in(read_sound(path, probe)) == pytest.approx([0.5], abs=0.06)
