"""Which of nearly the same clips stays, whatever the order they come in."""

import random
import time
from pathlib import Path

import pytest

from curation_fakes import paths_in
from ophora_curation.footage.fingerprint import distance
from ophora_curation.settings import CurationPaths
from ophora_curation.store.duplicates import _Kept, reject_duplicates
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, VideoOutcome, VideoRow


def fingerprint(number: int, *, flipped: int = 0, hashes: int = 8) -> str:
    bits = random.Random(number).getrandbits(64 * hashes)
    for place in range(flipped):
        bits ^= 1 << (place * 61 % (64 * hashes))
    return f"{bits:0{16 * hashes}x}"


def add(manifest: Manifest, out: CurationPaths, name: str, marks: list[str]) -> None:
    row = VideoRow(video_id=name, patient_id="p", sha256=name, recipe="r", status="curated")
    clips = []
    for number, mark in enumerate(marks):
        clip = ClipRow(
            clip_id=f"{name}-{number}",
            video_id=name,
            patient_id="p",
            tier="p2ft",
            reasons=(),
            instruction="i",
            phase=None,
            start_s=float(number),
            end_s=number + 1.0,
            sha256="x",
            fingerprint=mark,
        )
        (out.clips / f"{clip.clip_id}.mp4").touch()
        clips.append(clip)
    manifest.commit(VideoOutcome(video=row, clips=tuple(clips)))


@pytest.fixture
def out(tmp_path: Path) -> CurationPaths:
    paths = paths_in(tmp_path)
    paths.clips.mkdir()
    paths.held.mkdir()
    return paths


def kept(manifest: Manifest) -> list[str]:
    return [clip.clip_id for clip in manifest.clips("p2ft")]


def test_the_later_of_two_goes_with_its_file(out: CurationPaths) -> None:
    with Manifest.open(out.manifest) as manifest:
        add(manifest, out, "b", [fingerprint(1, flipped=16), fingerprint(2)])
        add(manifest, out, "a", [fingerprint(1), fingerprint(3)])
        assert reject_duplicates(manifest, out, max_distance=3.0) == 1
        assert kept(manifest) == ["a-0", "a-1", "b-1"]
        (loser,) = manifest.clips("rejected")
        assert loser.reasons == ("near-duplicate",)
    assert sorted(path.stem for path in out.clips.iterdir()) == ["a-0", "a-1", "b-1"]


def test_what_an_earlier_run_kept_stays(out: CurationPaths) -> None:
    with Manifest.open(out.manifest) as manifest:
        add(manifest, out, "b", [fingerprint(1)])
        assert reject_duplicates(manifest, out, max_distance=3.0) == 0
        add(manifest, out, "a", [fingerprint(1, flipped=8)])
        assert reject_duplicates(manifest, out, max_distance=3.0) == 1
        assert kept(manifest) == ["b-0"]
        assert reject_duplicates(manifest, out, max_distance=3.0) == 0


def test_far_ones_empty_ones_and_all_when_it_is_off_stay(out: CurationPaths) -> None:
    with Manifest.open(out.manifest) as manifest:
        add(manifest, out, "a", [fingerprint(1), "", "", fingerprint(1, flipped=200)])
        assert reject_duplicates(manifest, out, max_distance=3.0) == 0
        add(manifest, out, "b", [fingerprint(1)])
        assert reject_duplicates(manifest, out, max_distance=-1.0) == 0
        assert len(kept(manifest)) == 5


def test_all_at_once_is_one_by_one() -> None:
    marks = [fingerprint(n, hashes=6 + n % 6, flipped=n % 9) for n in range(60)]
    marks += [mark[:-16] for mark in marks[:20]]
    together = _Kept()
    for mark in marks:
        together.add(mark)
    for mark in (fingerprint(5, hashes=9), fingerprint(99), marks[3][16:], ""):
        alone = min(distance(mark, other) for other in marks)
        assert together.nearest(mark) == pytest.approx(alone)


def test_ten_thousand_clips_take_seconds(out: CurationPaths) -> None:
    together = _Kept()
    for number in range(10_000):
        together.add(fingerprint(number, hashes=11))
    start_s = time.process_time()
    for number in range(100):
        together.nearest(fingerprint(number, hashes=11))
    assert time.process_time() - start_s < 1.0  # so 10,000 take less than 100 s
