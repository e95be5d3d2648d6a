"""How well a curated folder of phantom videos agrees with its ground truth.

Every figure comes with its sample size. Planted strings are searched in the bytes of everything
curation left behind, whole and by their words.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ophora_curation.store.identity import content_hash
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow
from ophora_curation.text.vocabulary import allowed_words

_TRUTH = ".truth.json"
_TRAINING = ("p2ft", "tpt")
_WORD = re.compile(r"[^\W\d_]{4,}|\d{6,}")  # shorter figures occur by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hits` of `total`; printed with both."""

    hits: int
    total: int

    def __str__(self) -> str:
        value = self.hits / self.total if self.total else float("nan")
        return f"{value:.3f} ({self.hits} of {self.total})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationScore:
    """Agreement with the truth."""

    phase_match: Share  # training clips whose recognised phase is the true one
    clip_precision: Share  # training clips of a sound segment without personal overlay
    clip_recall: Share  # sound segments that were narrated and became training clips
    tier_match: Share  # training clips in the tier that their overlay asks for
    personal_held: Share  # personal overlays kept out of both training tiers
    faults_found: Share  # faulty segments kept out
    planted_absent: Share  # planted strings and their words found nowhere
    tiers: dict[tuple[str, str], int]  # true overlay, tier -> clips


def score(site: Path, videos: Path) -> CurationScore:
    """Compare the manifest and files under `site` with the truth beside the videos."""
    truths = dict(_truths(videos))
    with Manifest.open(site / "manifest.sqlite") as manifest:
        clips = manifest.clips()
    pairs = [
        (clip, _segment(clip, truths[clip.lineage["source_sha256"]]["segments"])) for clip in clips
    ]
    used = [(clip, segment) for clip, segment in pairs if clip.tier in _TRAINING]
    held = [(clip, segment) for clip, segment in pairs if segment["overlay"] == "personal"]
    faulty = [(clip, segment) for clip, segment in pairs if segment["faults"]]
    narrated = [(clip, segment) for clip, segment in pairs if _deserves(clip, segment, truths)]
    wanted = {"none": "p2ft", "device": "tpt", "logo": "tpt"}
    planted = set(_strings(truth["planted"] for truth in truths.values()))
    found = find_strings(site, sorted(planted))
    return CurationScore(
        phase_match=_share(clip.phase == segment["phase"] for clip, segment in used),
        clip_precision=_share(_is_sound(segment) for _, segment in used),
        clip_recall=_share(clip.tier in _TRAINING for clip, _ in narrated),
        tier_match=_share(clip.tier == wanted.get(segment["overlay"]) for clip, segment in used),
        personal_held=_share(clip.tier not in _TRAINING for clip, _ in held),
        faults_found=_share(clip.tier not in _TRAINING for clip, _ in faulty),
        planted_absent=Share(hits=len(planted) - len(found), total=len(planted)),
        tiers=dict(Counter((segment["overlay"], clip.tier) for clip, segment in pairs)),
    )


def find_strings(folder: Path, strings: Sequence[str]) -> set[str]:
    """Those of the strings that occur, in any case, in the bytes or the names under a folder."""
    found: set[str] = set()
    for path in folder.rglob("*"):
        text = str(path.relative_to(folder)).lower().encode()
        if path.is_file():
            text += b"\n" + path.read_bytes().lower()
        found.update(string for string in strings if string.lower().encode() in text)
    return found


def _strings(planted: Iterable[Sequence[str]]) -> Iterator[str]:
    """Planted strings and such of their words as no instruction may hold."""
    for strings in planted:
        for string in strings:
            yield string
            yield from (
                word for word in _WORD.findall(string) if word.lower() not in allowed_words()
            )


def _truths(videos: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Content of every phantom video with its truth; files without a truth are left out."""
    for path in sorted(videos.rglob(f"*{_TRUTH}")):
        video = path.with_name(path.name.removesuffix(_TRUTH) + ".mp4")
        yield content_hash(video), json.loads(path.read_text(encoding="utf-8"))


def _segment(clip: ClipRow, segments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return max(
        segments,
        key=lambda item: min(clip.end_s, item["end_s"]) - max(clip.start_s, item["start_s"]),
    )


def _is_sound(segment: dict[str, Any]) -> bool:
    return not segment["faults"] and segment["overlay"] != "personal"


def _deserves(clip: ClipRow, segment: dict[str, Any], truths: dict[str, dict[str, Any]]) -> bool:
    """A sound segment with an instruction in it that holds nothing personal."""
    said = truths[clip.lineage["source_sha256"]]["narration"]
    return _is_sound(segment) and any(
        line["kind"] == "instruction"
        and not line["personal"]
        and line["start_s"] >= segment["start_s"] - 0.5
        and line["end_s"] <= segment["end_s"] + 0.5
        for line in said
    )


def _share(flags: Iterable[bool]) -> Share:
    listed = list(flags)
    return Share(hits=sum(listed), total=len(listed))
