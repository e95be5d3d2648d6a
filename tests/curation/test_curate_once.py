"""Two curations of one site at a time would delete each other's unfinished clips."""

from pathlib import Path

import pytest

from ophora_curation.errors import CurationBusy
from ophora_curation.pipeline import curate
from ophora_curation.settings import CurationPaths, CurationSettings


def test_a_second_run_leaves_the_clips_of_the_first_alone(tmp_path: Path) -> None:
    videos, site = tmp_path / "videos", tmp_path / "site"
    videos.mkdir()
    site.mkdir()
    paths = CurationPaths(manifest=site / "manifest.sqlite", clips=site / "clips")
    refused: list[bool] = []

    def meanwhile(_: object) -> None:
        draft = paths.clips / ".part-0123.mp4"  # as the first run's worker has it now
        draft.touch()
        with pytest.raises(CurationBusy):
            curate(videos, out=paths, settings=CurationSettings(), key=b"k" * 32)
        refused.append(draft.exists())

    (videos / "stray.mp4").write_bytes(b"x")
    curate(videos, out=paths, settings=CurationSettings(), key=b"k" * 32, progress=meanwhile)
    assert refused
    assert all(refused)
