import json
import sys

import av
import numpy as np
import pytest

from ophora_curation.phantom.errors import SpeechUnavailable
from ophora_curation.phantom.make import PhantomRequest, make_phantoms
from ophora_curation.phantom.speech import Voice, load_voice

SMALL = {"patients": 2, "seed": 3, "size": (96, 64), "segments": (3, 3), "speech_share": 0.5}


def decoded(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".srt", ".json")
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom")
    seen = []
    paths = make_phantoms(
        PhantomRequest(out=out, fault_share=0.0, overlay_share=0.0, **SMALL),
        lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]
    return out, paths


def test_the_same_request_gives_the_same_files_whatever_the_workers(made, tmp_path):
    out, paths = made
    again = make_phantoms(
        PhantomRequest(out=tmp_path, fault_share=0.0, overlay_share=0.0, workers=2, **SMALL)
    )
    assert texts(out) == texts(tmp_path)
    for first, second in zip(paths, again, strict=True):
        assert first.relative_to(out) == second.relative_to(tmp_path)
        assert np.array_equal(decoded(first), decoded(second))


def test_the_video_is_what_the_truth_says(made):
    for path in made[1]:
        truth = json.loads(path.with_suffix(".truth.json").read_text())
        frames = decoded(path)
        assert truth["simulated"] is True
        assert len(frames) / 8 == truth["segments"][-1]["end_s"]
        change = np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
        cuts = [round(cut * 8) - 1 for cut in truth["cuts"]]
        assert sorted(np.argsort(change)[-len(cuts) :]) == cuts


def test_personal_data_is_planted_in_names_tags_and_nowhere_undeclared(made):
    for path in made[1]:
        truth = json.loads(path.with_suffix(".truth.json").read_text())
        planted = truth["planted"]
        assert truth["patient"]["mrn"] in path.parent.name
        assert truth["patient"]["last"] in path.name
        with av.open(str(path)) as container:
            tags = container.metadata
        assert truth["patient"]["mrn"] in tags["comment"]
        assert truth["patient"]["city"] in tags["location"]
        assert truth["patient"]["mrn"] in planted
        for item in truth["narration"]:
            assert bool(item["personal"]) == any(secret in item["text"] for secret in planted)


def test_a_share_of_the_videos_is_narrated_by_voice_only(made):
    kept = [path.with_suffix(".srt").exists() for path in made[1]]
    assert sorted(kept) == [False, True]
    for path in made[1]:
        truth = json.loads(path.with_suffix(".truth.json").read_text())
        with av.open(str(path)) as container:
            rate = container.streams.audio[0].rate
            sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        said = truth["narration"][0]
        loud = sound[int(said["start_s"] * rate) : int(said["end_s"] * rate)]
        assert np.abs(loud).max() > 0.05
        assert np.abs(sound[: int(0.05 * rate)]).max() < 0.03


def test_no_synthesiser_is_a_clear_error_before_any_file(monkeypatch, tmp_path):
    load_voice.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SpeechUnavailable, match=r"ophora-federated\[phantom\]"):
        make_phantoms(PhantomRequest(out=tmp_path / "new", **SMALL))
    assert not (tmp_path / "new").exists()
    with pytest.raises(SpeechUnavailable):
        Voice()


def test_videos_without_a_voice_need_no_synthesiser(monkeypatch, tmp_path):
    load_voice.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    quiet = {**SMALL, "patients": 1, "segments": (1, 1), "speech_share": 0.0, "voice": False}
    (path,) = make_phantoms(PhantomRequest(out=tmp_path, **quiet))
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 1


VARIED = {
    "patients": 1,
    "seed": 11,
    "segments": (3, 3),
    "size": (240, 160),
    "speech_share": 0.0,
    "voice": False,
    "personal_overlay_share": 0.7,
    "overlay_share": 0.0,
    "fault_share": 0.0,
    "identities": "full",
    "elderly_share": 1.0,
    "blend_share": 1.0,
    "copy_share": 1.0,
    "field": "circle",
    "rotation": 90,
    "variable_rate": True,
}


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    return make_phantoms(PhantomRequest(out=tmp_path_factory.mktemp("varied"), **VARIED))


def read(path):
    truth = json.loads(path.with_suffix(".truth.json").read_text())
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        turned = [np.rot90(f.to_ndarray(format="rgb24"), f.rotation // 90) for f in frames]
        return truth, [round(frame.time * 8) for frame in frames], np.stack(turned)


def test_every_kind_is_planted_in_names_and_tags_and_old_age_in_all(varied):
    truth, _, _ = read(varied[0])
    for kind, channels in truth["planted_by_kind"].items():
        assert channels["tags"], kind
        assert channels["file_name"], kind
    assert int(truth["patient"]["age"]) > 89


def test_a_turned_file_is_upright_for_who_obeys_its_flag(varied):
    _, _, pictures = read(varied[0])
    assert pictures.shape[1:3] == (160, 240)
    assert pictures[:, 80, 120].mean() > 40  # the eye is in the middle
    assert pictures[:, 60:100, 2:12].mean() < 8  # and the field is round, on black


def test_burned_in_lines_are_where_the_truth_says(varied):
    truth, numbers, pictures = read(varied[0])
    times = np.array(numbers) / 8
    burned = [segment for segment in truth["segments"] if segment["overlay"] == "personal"]
    assert burned
    for segment in burned:
        shown = (times >= segment["overlay_start_s"] + 0.3) & (
            times < segment["overlay_end_s"] - 0.3
        )
        mean = pictures[shown].mean(axis=0).max(axis=-1)
        for left, top, right, bottom in segment["overlay_boxes"]:
            assert np.ptp(mean[top:bottom, left:right]) > 40


def test_an_uneven_rate_leaves_out_frames_and_repeats_some(varied):
    truth, numbers, _ = read(varied[0])
    assert 0.8 < len(numbers) / (truth["segments"][-1]["end_s"] * 8) < 0.99
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0


def test_blends_are_declared_in_place_of_cuts(varied):
    truth, _, _ = read(varied[0])
    assert truth["cuts"] == []
    starts = [segment["start_s"] for segment in truth["segments"][1:]]
    middles = [(blend["start_s"] + blend["end_s"]) / 2 for blend in truth["blends"]]
    assert middles == pytest.approx(starts)


def test_a_copy_is_the_same_operation_in_another_size(varied):
    first, numbers, pictures = read(varied[0])
    second, again, smaller = read(varied[1])
    assert second["copy_of"] == varied[0].name
    assert again == numbers
    assert smaller.shape[1:3] == (120, 180)
    assert second["narration"] == first["narration"]
    shrunk = pictures[:, ::4, ::4].astype(int)[:, :40, :60] - smaller[:, ::3, ::3][:, :40, :60]
    assert np.abs(shrunk).mean() < 12
    assert varied[0].parent == varied[1].parent
