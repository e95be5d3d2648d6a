"""What passes between the run and its workers comes back as it was sent."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from hostile import Canary, make_corpus
from ophora_curation.job import VideoJob
from ophora_curation.look import look
from ophora_curation.run.task import Answer, read_answer
from ophora_curation.settings import CurationSettings


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    canary = Canary(path=folder / "canary", address="127.0.0.1:9")
    return make_corpus(folder / "videos", canary)[0].parent


@pytest.mark.parametrize("name", ["film-and-zip.mp4", "matroska.mp4", "endless.dcm"])
def test_a_look_comes_back_whole(films: Path, name: str) -> None:
    job = VideoJob(path=films / name, video_id="v", patient_id="p", sha256="s", recipe="r")
    sent = look(job, CurationSettings(min_width=160, min_height=96))
    got = read_answer(pickle.dumps(Answer(look=sent), protocol=5)).look
    assert got.probe == sent.probe
    assert got.duration_s == sent.duration_s == pytest.approx(3.0, abs=0.2)
    assert np.array_equal(got.seen.times_s, sent.seen.times_s)
    assert np.array_equal(got.seen.fingerprints, sent.seen.fingerprints)


def test_a_refusal_comes_back_whole(films: Path) -> None:
    job = VideoJob(path=films, video_id="v", patient_id="p", sha256="s", recipe="r")
    sent = Answer(outcome=job.refused("too-short"), kind="KeyError@a.py:1")
    assert read_answer(pickle.dumps(sent, protocol=5)) == sent
