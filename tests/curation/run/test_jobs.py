"""A folder becomes jobs; nothing but regular files is opened."""

import os
from pathlib import Path

import pytest

from ophora_curation.run.jobs import Found, JobMaker, find_videos
from ophora_curation.settings import CurationSettings
from ophora_curation.text.refining import RefineSettings

SRT = "1\n00:00:00,000 --> 00:00:02,000\nPolish the posterior capsule.\n"


def jobs(folder: Path, **settings: object) -> dict[str, Found]:
    maker = JobMaker(
        folder=folder,
        settings=CurationSettings(**settings),  # type: ignore[arg-type]
        refine=RefineSettings(),
        key=b"k" * 32,
    )
    return {found.job.path.name: found for found in maker.jobs(find_videos(folder))}


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    folder = tmp_path / "videos" / "Poe_Edgar"
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_bytes(b"a" * 10)
    return folder


def test_what_is_no_regular_file_is_refused_and_never_opened(patient: Path) -> None:
    os.mkfifo(patient / "pipe.mp4")  # would block for ever
    (patient / "link.mp4").symlink_to("/dev/zero")  # would never end
    (patient / "around.mp4").symlink_to(patient)
    found = jobs(patient.parent)
    refusals = {name: each.refusal for name, each in found.items()}
    special = dict.fromkeys(("pipe.mp4", "link.mp4", "around.mp4"), "not-a-file")
    assert refusals == {"a.mp4": "", **special}
    assert len({each.job.video_id for each in found.values()}) == 4


@pytest.mark.parametrize("kind", ["link", "huge"])
def test_a_sidecar_that_can_be_none_refuses_its_video(patient: Path, kind: str) -> None:
    sidecar = patient / "a.srt"
    if kind == "link":
        (patient.parent / "elsewhere").write_text(SRT)
        sidecar.symlink_to(patient.parent / "elsewhere")
    else:
        with sidecar.open("wb") as file:
            file.truncate(65 << 20)
    assert jobs(patient.parent)["a.mp4"].refusal == "bad-sidecar"


def test_ids_follow_content_and_patient_and_tell_neither(patient: Path) -> None:
    before = jobs(patient.parent)["a.mp4"].job
    (patient / "a.mp4").rename(patient / "b.mp4")
    after = jobs(patient.parent)["b.mp4"].job
    assert after.video_id == before.video_id
    patient.rename(patient.with_name("Poe_Virginia"))
    moved = jobs(patient.parent)["b.mp4"].job
    assert moved.video_id != before.video_id
    assert moved.patient_id != before.patient_id
    assert "Poe" not in repr((before, jobs(patient.parent), find_videos(patient.parent)))


def test_recipe_changes_with_settings_and_sidecar(patient: Path) -> None:
    recipes = [jobs(patient.parent)["a.mp4"].job.recipe]
    recipes.append(jobs(patient.parent, min_motion=0.5)["a.mp4"].job.recipe)
    (patient / "a.srt").write_text(SRT)
    recipes.append(jobs(patient.parent)["a.mp4"].job.recipe)
    (patient / "a.srt").write_text(SRT.replace("posterior", "anterior"))
    recipes.append(jobs(patient.parent)["a.mp4"].job.recipe)
    assert len(set(recipes)) == 4


def test_companions_and_hidden_files_are_no_videos(patient: Path) -> None:
    for name in (".hidden.mp4", "a.srt", "a.vtt", "notes.txt", "a.json"):
        (patient / name).write_text("x")
    (patient / ".trash").mkdir()
    (patient / ".trash" / "b.mp4").write_text("x")
    assert [file.path.name for file in find_videos(patient.parent)] == ["a.mp4"]


def test_a_file_in_nobodys_folder_is_refused(patient: Path) -> None:
    (patient.parent / "stray.mp4").write_bytes(b"b")
    assert jobs(patient.parent)["stray.mp4"].refusal == "no-patient"
