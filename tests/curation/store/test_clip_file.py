from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ophora_curation.store.clip_file import ClipDraft, count_strangers, place, remove_orphans
from ophora_curation.store.identity import content_hash


def write(folder: Path, clip_id: str = "ab12", frames: int = 16) -> tuple[Path, str]:
    with ClipDraft(folder, clip_id, fps=Fraction(8)) as draft:
        for index in range(frames):
            draft.add(np.full((97, 161, 3), index * 9, np.uint8))
        return draft.path, draft.finish()


def test_a_clip_is_pixels_and_nothing_else(tmp_path: Path) -> None:
    draft, digest = write(tmp_path)
    path = place(draft, tmp_path, "ab12")
    assert [item.name for item in tmp_path.iterdir()] == ["ab12.mp4"]
    assert content_hash(path) == digest
    assert path.stat().st_mtime == 0
    assert path.stat().st_mode & 0o777 == 0o600
    with av.open(path) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (160, 96, 16)
        assert stream.average_rate == 8
    assert count_strangers(path) == 0
    data = path.read_bytes()
    assert not [word for word in (b"x264", b"Lavc", b"Lavf", b"creation_time") if word in data]


def test_an_encoder_that_signs_its_stream_is_noticed(tmp_path: Path) -> None:
    signed = tmp_path / "signed.mp4"
    with av.open(signed, "w") as container:
        container.metadata["title"] = "Poe"
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("aac", rate=16000)
        del sound
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index, np.uint8))
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    assert count_strangers(signed) >= 4  # a sound track, a title, an encoder's remark, a date


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    assert len({write(tmp_path, str(number))[1] for number in range(6)}) == 1


def test_an_unfinished_clip_leaves_nothing(tmp_path: Path) -> None:
    with ClipDraft(tmp_path, "ab12", fps=Fraction(8)) as draft:
        draft.add(np.zeros((96, 160, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_draft_moves_between_folders(tmp_path: Path) -> None:
    held, clips = tmp_path / "held", tmp_path / "clips"
    held.mkdir()
    clips.mkdir()
    draft, digest = write(held)
    assert content_hash(place(draft, clips, "ab12")) == digest
    assert list(held.iterdir()) == []


@pytest.mark.parametrize("known", [{"known"}, {"known", "other"}])
def test_orphans_of_a_killed_run_go(tmp_path: Path, known: set[str]) -> None:
    for name in ("known.mp4", "unknown.mp4", ".part-x.mp4", ".part-x-1.mp4"):
        (tmp_path / name).touch()
    assert remove_orphans(tmp_path, known) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["known.mp4"]
