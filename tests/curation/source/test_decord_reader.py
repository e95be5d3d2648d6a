"""Frames through decord: the same frames, from a process that can be killed."""

import sys
from pathlib import Path

import numpy as np
import pytest

from films import shot, wrap_in_dicom, write_video
from ophora_curation.errors import VideoRefused
from ophora_curation.settings import CurationSettings
from ophora_curation.source import decord_child
from ophora_curation.source.decord_reader import DecordReader
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import open_reader

SETTINGS = CurationSettings(min_width=32, min_height=32)


def test_both_decoders_give_the_same_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", shot(1, 12))
    probe = probe_video(path, settings=SETTINGS)
    ours = [(frame.time_s, frame.picture()) for frame in open_reader(path, probe)]
    reader = open_reader(path, probe, decoder="decord")
    theirs = [(frame.time_s, frame.picture()) for frame in reader]
    assert [time for time, _ in ours] == pytest.approx([time for time, _ in theirs])
    assert all(np.array_equal(one, two) for (_, one), (_, two) in zip(ours, theirs, strict=True))
    late = next(iter(reader.frames_from(1.0)))
    assert (late.time_s, late.index) == (1.0, -1)
    assert reader.num_lost == 0


def test_a_stream_in_dicom_is_read_without_a_named_copy(tmp_path: Path) -> None:
    stream = write_video(tmp_path / "a.mp4", shot(1, 8)).read_bytes()
    path = wrap_in_dicom(tmp_path / "a.dcm", stream, syntax="1.2.840.10008.1.2.4.102", fragments=2)
    probe = probe_video(path, settings=SETTINGS)
    assert len(list(DecordReader(path, probe))) == 8
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.dcm", "a.mp4"]


def test_a_codec_that_decord_does_not_know_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", shot(1, 4), codec="libsvtav1", options={"preset": "12"})
    probe = probe_video(path, settings=SETTINGS)
    with pytest.raises(VideoRefused, match="no-decoder"):
        open_reader(path, probe, decoder="decord")


def test_a_decoder_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", shot(1, 4))
    probe = probe_video(path, settings=SETTINGS)
    hanging = tmp_path / "hanging_child.py"
    hanging.write_text(
        "import json, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "text = json.dumps({'frames': 4, 'claimed': 4}).encode()\n"
        "sys.stdout.buffer.write(b'%016d' % len(text) + text)\n"
        "sys.stdout.flush()\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(decord_child, "__name__", "hanging_child")
    assert sys.executable
    with pytest.raises(VideoRefused, match="timed-out"):
        list(DecordReader(path, probe, frame_timeout_s=0.3))
