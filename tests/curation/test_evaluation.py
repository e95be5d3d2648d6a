"""Scores of a site that was written by hand, so that each figure has a known answer."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ophora_curation.evaluation import CurationScore, score
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.store.identity import content_hash
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, VideoOutcome, VideoRow

FPS = 8


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight segments with and without patients' data, none spoilt."""
    (path,) = make_phantoms(
        PhantomRequest(
            out=tmp_path_factory.mktemp("videos"),
            patients=1,
            seed=3,
            size=(240, 160),
            segments=(8, 8),
            voice=False,
            speech_share=0.0,
            fault_share=0.0,
            overlay_share=0.0,
            personal_overlay_share=0.4,
        )
    )
    return path


def segments(video: Path) -> list[dict]:
    return json.loads(video.with_suffix(".truth.json").read_text())["segments"]


def rows(video: Path) -> list[ClipRow]:
    """A perfect run: every segment a clip in `p2ft`, those with patients' data in quarantine."""
    made = []
    for number, segment in enumerate(segments(video)):
        made.append(
            ClipRow(
                clip_id=f"{number:016x}",
                video_id="v" * 16,
                patient_id="p" * 16,
                tier="quarantine" if segment["overlay"] == "personal" else "p2ft",
                reasons=(),
                instruction="the wound is made",
                phase=segment["phase"],
                start_s=segment["start_s"],
                end_s=segment["end_s"],
                width=240,
                height=160,
                lineage={"source_sha256": content_hash(video)},
            )
        )
    return made


def cut(video: Path, clip: ClipRow, folder: Path, *, masked: bool = False) -> None:
    """Write the clip as it is in the source, or with its burned-in lines covered."""
    boxes = segments(video)[int(clip.clip_id, 16)]["overlay_boxes"] if masked else []
    folder.mkdir(exist_ok=True)
    with av.open(str(video)) as source, av.open(str(folder / f"{clip.clip_id}.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 240, 160, "yuv420p"
        kept = [f for f in source.decode(video=0) if clip.start_s <= f.time < clip.end_s]
        for index, frame in enumerate(kept):
            picture = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            for left, top, right, bottom in boxes:
                picture[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = 60
            image = av.VideoFrame.from_ndarray(picture, format="rgb24")
            image.pts, image.time_base = index, Fraction(1, FPS)
            out.mux(stream.encode(image))
        out.mux(stream.encode(None))


def scored(site: Path, video: Path, clips: list[ClipRow]) -> CurationScore:
    site.mkdir(exist_ok=True)
    (site / "clips").mkdir(exist_ok=True)
    seen = VideoRow(
        video_id="v" * 16,
        patient_id="p" * 16,
        sha256=content_hash(video),
        recipe="r",
        status="curated",
    )
    with Manifest.open(site / "manifest.sqlite") as manifest:
        manifest.commit(VideoOutcome(video=seen, clips=tuple(clips)))
    return score(site, video.parents[1])


def changed(clips: list[ClipRow], *wanted: str, **changes: object) -> tuple[list[ClipRow], ClipRow]:
    """The clips with the first of these tiers changed, and that one."""
    index = next(number for number, clip in enumerate(clips) if clip.tier in wanted)
    new = replace(clips[index], **changes)
    return [*clips[:index], new, *clips[index + 1 :]], new


def test_a_perfect_run_scores_in_full(tmp_path: Path, video: Path) -> None:
    found = scored(tmp_path, video, rows(video))
    for name in ("phase_match", "p2ft_precision", "p2ft_recall", "personal_held"):
        share = getattr(found, name)
        assert share.hits == share.total > 0, name
    assert found.planted_absent.hits == found.planted_absent.total > 0
    assert found.planted_by_kind[("record_number", "tags")].total == 1


def test_personal_data_in_a_training_clip_is_a_failure_until_it_is_masked(
    tmp_path: Path, video: Path
) -> None:
    clips, clip = changed(rows(video), "quarantine", tier="tpt")
    cut(video, clip, tmp_path / "clips")
    open_ = scored(tmp_path, video, clips)
    assert open_.personal_held.hits == open_.personal_held.total - 1
    assert open_.clip_precision.hits == open_.clip_precision.total - 1
    cut(video, clip, tmp_path / "clips", masked=True)
    covered = scored(tmp_path, video, clips)
    assert covered.personal_held.hits == covered.personal_held.total
    assert covered.clip_precision.hits == covered.clip_precision.total


def test_a_masked_clip_is_not_clean(tmp_path: Path, video: Path) -> None:
    clips, clip = changed(rows(video), "quarantine", tier="p2ft")
    cut(video, clip, tmp_path / "clips", masked=True)
    found = scored(tmp_path, video, clips)
    assert found.p2ft_precision.hits == found.p2ft_precision.total - 1
    assert found.tier_match.hits == found.tier_match.total - 1


def test_a_clip_that_reaches_into_a_burned_in_segment_is_not_clean(
    tmp_path: Path, video: Path
) -> None:
    listed = rows(video)
    index = next(
        number
        for number in range(len(listed) - 1)
        if (listed[number].tier, listed[number + 1].tier) == ("p2ft", "quarantine")
    )
    listed[index] = replace(listed[index], end_s=listed[index].end_s + 0.5)
    cut(video, listed[index], tmp_path / "clips")
    found = scored(tmp_path, video, listed)
    assert found.p2ft_precision.hits == found.p2ft_precision.total - 1
    assert found.personal_held.hits == found.personal_held.total - 1


def test_a_missing_clip_and_a_wrong_phase_cost_recall_and_phase(
    tmp_path: Path, video: Path
) -> None:
    clips, _ = changed(rows(video), "p2ft", tier="rejected")
    clips, _ = changed(clips, "p2ft", phase="none of them")
    found = scored(tmp_path, video, clips)
    assert found.p2ft_recall.hits == found.p2ft_recall.total - 1
    assert found.phase_match.hits == found.phase_match.total - 1


def test_a_planted_string_in_any_file_is_counted_by_kind_and_channel(
    tmp_path: Path, video: Path
) -> None:
    truth = json.loads(video.with_suffix(".truth.json").read_text())
    (tmp_path / "curation.log").write_text(f"video of {truth['patient']['mrn']} done")
    found = scored(tmp_path, video, rows(video))
    assert found.planted_by_kind[("record_number", "tags")].hits == 0
    assert found.planted_by_kind[("hospital", "tags")].hits == 1
    assert found.planted_absent.hits < found.planted_absent.total
