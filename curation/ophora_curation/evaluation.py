"""How well a curated folder of phantom videos agrees with its ground truth.

Every figure comes with its sample size. Planted strings are searched in the bytes of everything
curation left behind, whole and by their words; burned-in lines in the pixels of written clips.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ophora_curation.phantom.search import find_strings
from ophora_curation.store.identity import content_hash
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow
from ophora_curation.text.vocabulary import allowed_words

__all__ = ["CurationScore", "Share", "find_strings", "score"]

_TRUTH = ".truth.json"
_TRAINING = ("p2ft", "tpt")
_WORD = re.compile(r"[^\W\d_]{4,}|\d{6,}")  # shorter figures occur by chance
_TOUCH_S = 0.15  # a clip that reaches so far into a segment shows it
_LATE_S = 0.5  # an instruction may begin early or end late by so much
_CROPPED = 0.02  # difference of aspect ratios


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
    clip_precision: Share  # training clips without fault and without legible personal data
    clip_recall: Share  # clips of sound, narrated segments that became training clips
    p2ft_precision: Share  # p2ft clips that show no overlay, no fault and no room
    p2ft_recall: Share  # clean, narrated segments that have a p2ft clip
    tier_match: Share  # training clips in the tier that their overlay asks for
    personal_held: Share  # clips with personal overlays held back, or without a legible line
    faults_found: Share  # faulty segments kept out
    planted_absent: Share  # planted strings and their words found nowhere
    planted_by_kind: dict[tuple[str, str], Share]  # the same by kind and channel, whole strings
    tiers: dict[tuple[str, str], int]  # true overlay, tier -> clips
    strings_found: tuple[str, ...]  # of those planted, and their words
    legible_clips: tuple[str, ...]  # file and seconds of training clips with a patient's line


@dataclass(frozen=True, slots=True, kw_only=True)
class _Video:
    """A phantom video with its truth."""

    path: Path
    truth: dict[str, Any]

    @property
    def segments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.truth["segments"]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A clip with what the truth says it shows; `legible` counts burned-in lines left in it."""

    clip: ClipRow
    video: _Video
    segments: tuple[dict[str, Any], ...]  # those it reaches into, the one it shows most first
    legible: int

    @property
    def main(self) -> dict[str, Any]:
        return self.segments[0]

    @property
    def used(self) -> bool:
        return self.clip.tier in _TRAINING

    @property
    def is_sound(self) -> bool:
        """No fault, and no legible line of a patient's data."""
        return not self._faults() and not (self.legible and self.has("personal"))

    @property
    def is_clean(self) -> bool:
        """Nothing on screen: no overlay was there, or it was cropped off."""
        burned = self.has("device", "logo", "personal")
        away = self._was_cropped() and not self.legible
        return not self._faults() and (not burned or away)

    def has(self, *overlays: str) -> bool:
        """Whether one of these was burned in while the clip runs."""
        return any(
            segment["overlay"] in overlays and _overlap_s(self.clip, _burned(segment)) > 0.02
            for segment in self.segments
        )

    def _faults(self) -> list[str]:
        return [fault for segment in self.segments for fault in segment["faults"]]

    def _was_cropped(self) -> bool:
        if not self.clip.height or any(finding.masked for finding in self.clip.findings):
            return False
        width, height = self.video.truth["size"]
        aspect = self.clip.width / self.clip.height
        return bool(abs(aspect * height / width - 1) > _CROPPED)


def score(site: Path, videos: Path) -> CurationScore:
    """Compare the manifest and files under `site` with the truth beside the videos."""
    known = dict(_videos(videos))
    with Manifest.open(site / "manifest.sqlite") as manifest:
        clips = manifest.clips()
    seen = [_look_at(clip, known[clip.lineage["source_sha256"]], site) for clip in clips]
    used = [item for item in seen if item.used]
    clean = [item for item in seen if item.clip.tier == "p2ft"]
    narrated = [item for item in seen if _is_wanted(item.main, item.video) and item.is_sound]
    narrated = [item for item in narrated if "near-duplicate" not in item.clip.reasons]
    by_kind, absent, strings = _planted([video.truth for video in known.values()], site)
    return CurationScore(
        phase_match=_share(item.clip.phase == item.main["phase"] for item in used),
        clip_precision=_share(item.is_sound for item in used),
        clip_recall=_share(item.used for item in narrated),
        p2ft_precision=_share(item.is_clean for item in clean),
        p2ft_recall=_share(_p2ft_recall(known.values(), clean)),
        tier_match=_share((item.clip.tier == "p2ft") == item.is_clean for item in used),
        personal_held=_share(
            not item.used or not item.legible for item in seen if item.has("personal")
        ),
        faults_found=_share(not item.used for item in seen if item.main["faults"]),
        planted_absent=absent,
        planted_by_kind=by_kind,
        tiers=dict(Counter((item.main["overlay"], item.clip.tier) for item in seen)),
        strings_found=strings,
        legible_clips=tuple(
            f"{item.video.path.name}, {item.clip.start_s:.1f} to {item.clip.end_s:.1f} s"
            for item in seen
            if item.used and item.legible and item.has("personal")
        ),
    )


def _videos(folder: Path) -> Iterator[tuple[str, _Video]]:
    """Every phantom video by its content; files without a truth are left out."""
    for path in sorted(folder.rglob(f"*{_TRUTH}")):
        video = path.with_name(path.name.removesuffix(_TRUTH) + ".mp4")
        truth = json.loads(path.read_text(encoding="utf-8"))
        yield content_hash(video), _Video(path=video, truth=truth)


def _look_at(clip: ClipRow, video: _Video, site: Path) -> _Seen:
    def shown_s(segment: dict[str, Any]) -> float:
        return _overlap_s(clip, (segment["start_s"], segment["end_s"]))

    ordered = sorted(video.segments, key=shown_s, reverse=True)
    shown = (ordered[0], *(item for item in ordered[1:] if shown_s(item) > _TOUCH_S))
    legible = 0
    if clip.tier in _TRAINING:
        legible = sum(_legible(clip, video, segment, site) for segment in shown)
    return _Seen(clip=clip, video=video, segments=shown, legible=legible)


def _legible(clip: ClipRow, video: _Video, segment: dict[str, Any], site: Path) -> int:
    """Lines burned into the source that can still be read in the clip."""
    if not segment["overlay_boxes"] or _overlap_s(clip, _burned(segment)) <= 0:
        return 0
    from ophora_curation.phantom.residue import legible_lines

    return legible_lines(
        video.path,
        site / "clips" / f"{clip.clip_id}.mp4",
        segment["overlay_boxes"],
        shown=_burned(segment),
        clip_start_s=clip.start_s,
    )


def _burned(segment: dict[str, Any]) -> tuple[float, float]:
    return segment["overlay_start_s"], segment["overlay_end_s"]


def _overlap_s(clip: ClipRow, span: tuple[float, float]) -> float:
    return min(clip.end_s, span[1]) - max(clip.start_s, span[0])


def _is_wanted(segment: dict[str, Any], video: _Video) -> bool:
    """A faultless segment with an instruction in it that holds nothing personal."""
    if segment["faults"] or "copy_of" in video.truth:
        return False
    return any(
        line["kind"] == "instruction"
        and not line["personal"]
        and line["start_s"] >= segment["start_s"] - _LATE_S
        and line["end_s"] <= segment["end_s"] + _LATE_S
        for line in video.truth["narration"]
    )


def _p2ft_recall(videos: Iterable[_Video], clean: Iterable[_Seen]) -> Iterator[bool]:
    """For every clean, narrated segment, whether a p2ft clip shows it."""
    met = {(_original(item.video), item.main["start_s"]) for item in clean}
    for video in videos:
        for segment in video.segments:
            if segment["overlay"] == "none" and _is_wanted(segment, video):
                yield (video.path, segment["start_s"]) in met


def _original(video: _Video) -> Path:
    """The video itself, or the one it is a copy of: one of the two is kept."""
    return video.path.with_name(video.truth.get("copy_of", video.path.name))


def _planted(
    truths: list[dict[str, Any]], site: Path
) -> tuple[dict[tuple[str, str], Share], Share, tuple[str, ...]]:
    """Planted strings found nowhere, by kind and channel, all with their words; and those found."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for truth in truths:
        for kind, channels in truth["planted_by_kind"].items():
            for channel, strings in channels.items():
                heard = channel == "speech" and not truth["sidecar"]
                key = (kind, "audio" if heard else channel)  # of speech: read, or recognised
                wanted.setdefault(key, []).extend(strings)
    whole = {string for strings in wanted.values() for string in strings}
    every = whole | {string for truth in truths for string in _with_words(truth)}
    found = find_strings(site, every)
    by_kind = {
        key: Share(hits=sum(string not in found for string in strings), total=len(strings))
        for key, strings in sorted(wanted.items())
    }
    total = Share(hits=len(every - found), total=len(every))
    return by_kind, total, tuple(sorted(every & found))


def _with_words(truth: dict[str, Any]) -> Iterator[str]:
    """A video's planted strings, and such words of names and numbers as nothing else may hold."""
    yield from truth["planted"]
    for key in ("first", "last", "doctor", "city", "mrn", "phone"):
        words = _WORD.findall(truth["patient"][key])
        yield from (word for word in words if word.lower() not in allowed_words())


def _share(flags: Iterable[bool]) -> Share:
    listed = list(flags)
    return Share(hits=sum(listed), total=len(listed))
