"""Two curations of one site at a time would delete each other's unfinished clips."""

from pathlib import Path

import pytest

from curation_fakes import paths_in
from film_fakes import curate_films, make_films
from ophora_curation.errors import CurationBusy, EndpointRefused, NotAFolder
from ophora_curation.pipeline import curate
from ophora_curation.settings import CurationSettings
from ophora_curation.text.refining import RefineSettings


def test_a_second_run_leaves_the_clips_of_the_first_alone(tmp_path: Path) -> None:
    videos, site = make_films(tmp_path / "videos", patients=1), tmp_path / "site"
    refused: list[bool] = []

    def meanwhile(_: object) -> None:
        draft = site / "clips" / ".part-0123.mp4"  # as the first run's worker has it now
        draft.touch()
        with pytest.raises(CurationBusy):
            curate_films(videos, site)
        refused.append(draft.exists())

    curate_films(videos, site, progress=meanwhile)
    assert refused
    assert all(refused)


def test_a_folder_that_is_not_there_is_named_by_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotAFolder) as caught:
        curate(
            tmp_path / "Mary_Poe",
            out=paths_in(tmp_path / "site"),
            settings=CurationSettings(),
            key=b"k" * 32,
        )
    assert "Poe" not in str(caught.value)
    assert not (tmp_path / "site").exists()


def test_an_endpoint_outside_the_site_stops_before_any_work(tmp_path: Path) -> None:
    videos = make_films(tmp_path / "videos", patients=1)
    with pytest.raises(EndpointRefused, match=r"8\.8\.8\.8"):
        curate(
            videos,
            out=paths_in(tmp_path / "site"),
            settings=CurationSettings(),
            key=b"k" * 32,
            refine=RefineSettings(endpoint="http://8.8.8.8/v1", model="m"),
        )
    assert not (tmp_path / "site").exists()
