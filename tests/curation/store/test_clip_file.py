from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ophora_curation.store.clip_file import ClipWriter, remove_orphans
from ophora_curation.store.identity import content_hash


def test_a_clip_is_pixels_and_nothing_else(tmp_path: Path) -> None:
    with ClipWriter(tmp_path, "ab12", fps=Fraction(8)) as writer:
        for index in range(16):
            writer.add(np.full((97, 161, 3), index * 9, np.uint8))
        digest = writer.finish()
    path = tmp_path / "ab12.mp4"
    assert [item.name for item in tmp_path.iterdir()] == ["ab12.mp4"]
    assert content_hash(path) == digest
    assert path.stat().st_mtime == 0
    with av.open(path) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (160, 96, 16)
        assert stream.average_rate == 8
        tags = {**container.metadata, **stream.metadata}
        assert not {"title", "comment", "location", "creation_time", "encoder"} & set(tags)


def test_an_unfinished_clip_leaves_nothing(tmp_path: Path) -> None:
    with ClipWriter(tmp_path, "ab12", fps=Fraction(8)) as writer:
        writer.add(np.zeros((96, 160, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_orphans_of_a_killed_run_go(tmp_path: Path) -> None:
    for name in ("known.mp4", "unknown.mp4", ".part-x.mp4"):
        (tmp_path / name).touch()
    assert remove_orphans(tmp_path, {"known"}) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["known.mp4"]
