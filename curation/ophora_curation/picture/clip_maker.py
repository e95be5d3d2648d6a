"""A clip from its pictures: field, layout, encode, inspect what was written, mask, inspect again.

    pictures -> region (field.py, layout.py) -> scaled -> draft -> guard.py inspects the draft
        -> nothing to hide: the draft is the clip
        -> something to hide: masks (mask.py), encoded again from the draft's own pixels, inspected

What is inspected is always the written file, decoded again: a claim about it can't be about
something else. The paper's section "Comprehensive Data Curation".
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.errors import RefinerFailed
from ophora_curation.picture.field import find_field
from ophora_curation.picture.guard import Faces, Inspection, inspect
from ophora_curation.picture.layout import parse_layouts, rectangles
from ophora_curation.picture.mask import covered_share, fill, panel_masks
from ophora_curation.picture.text_detector import TextDetector
from ophora_curation.settings import CurationSettings
from ophora_curation.store.clip_file import ClipDraft, count_strangers
from ophora_curation.store.records import Box, Finding, Tier

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
_ROUNDS = 3  # of masking what the look before still found
_MOST_COVERED = 0.25  # share of the picture; more is no clip of an operation any more
_SHOWN = 3  # pictures for the site's vision model


class Vision(Protocol):
    """A model of the site's own that looks at pictures (vision.py)."""

    def doubts(self, pictures: Sequence[Picture]) -> tuple[str, ...]:
        """Closed words for what should not be there; raises `RefinerFailed`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeClip:
    """A finished draft and the verdict on it.

    `path` is still under its temporary name, mode 0600: `clip_file.place` moves it to where its
    tier belongs. It is None only when there was no picture (tier "rejected", reason "no-frames").
    `residual` counts what the second look still found and must not be there.
    """

    tier: Tier
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    residual: int = 0
    sha256: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    path: Path | None = field(default=None, repr=False)


class ClipMaker:
    """Makes clips in one folder. `text` and `faces` are called for the detectors when a clip is
    looked at; whatever they raise holds that clip ("overlay-detector-failed",
    "face-detector-failed")."""

    def __init__(
        self,
        *,
        folder: Path,
        text: Callable[[], TextDetector],
        faces: Callable[[], Faces],
        settings: CurationSettings,
        vision: Vision | None = None,
    ) -> None:
        self._folder = folder
        self._text = text
        self._faces = faces
        self._settings = settings
        self._vision = vision
        self._layouts = parse_layouts(settings.layouts)

    def make(
        self,
        pictures: Iterable[Picture],
        *,
        clip_id: str,
        fps: Fraction,
        brightest: npt.NDArray[np.uint8] | None,
        source_size: tuple[int, int],
    ) -> MadeClip:
        """Write the clip's draft and judge it.

        `pictures` are upright RGB at source size, on the clip's time grid; `brightest` is the
        shot's temporal maximum of small luma, upright, any size; `source_size` is width, height.
        Raises `OSError` when the draft can't be written; no draft is left then.
        """
        layout = rectangles(self._layouts, source_size)
        prepared = self._prepared(pictures, brightest, layout or ())
        draft = self._write(prepared, clip_id, fps)
        if draft.path is None:
            return draft
        judged = self._judge(draft, clip_id, fps, masked_layout=bool(layout))
        if self._settings.only_known_layouts and layout is None:
            return _held(judged, "unknown-layout")
        if judged.tier != "quarantine" and judged.path is not None:
            strangers = count_strangers(judged.path)
            if strangers:
                residual = judged.residual + strangers
                return replace(_held(judged, "residual-container"), residual=residual)
        return judged

    def _prepared(
        self,
        pictures: Iterable[Picture],
        brightest: npt.NDArray[np.uint8] | None,
        layout: Sequence[tuple[float, float, float, float]],
    ) -> Iterator[Picture]:
        """Pictures without what lies round the field and under the layout, scaled down."""
        region = find_field(brightest) if self._settings.crop_field else None
        for picture in pictures:
            if layout:
                picture = fill(picture, [_box_of(shares, picture) for shares in layout])
            if region is not None:
                picture = region.apply(picture)
            yield self._fitted(picture)

    def _fitted(self, picture: Picture) -> Picture:
        """Scaled down to the clip's size, sides even; never up."""
        height, width = picture.shape[:2]
        scale = min(1.0, self._settings.clip_width / width, self._settings.clip_height / height)
        size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
        if scale == 1.0 or size == (width, height):
            return picture
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _write(
        self, pictures: Iterable[Picture], clip_id: str, fps: Fraction, part: str = ""
    ) -> MadeClip:
        """A draft of these pictures, not judged yet."""
        with ClipDraft(self._folder, clip_id, fps=fps, part=part) as draft:
            for picture in pictures:
                draft.add(picture)
            if not draft.num_frames:
                return MadeClip(tier="rejected", reasons=("no-frames",))
            return MadeClip(
                tier="p2ft",
                reasons=(),
                sha256=draft.finish(),
                width=draft.size[0],
                height=draft.size[1],
                frames=draft.num_frames,
                path=draft.path,
            )

    def _judge(
        self, draft: MadeClip, clip_id: str, fps: Fraction, *, masked_layout: bool
    ) -> MadeClip:
        """Look at the draft; mask and write again until nothing bad is left, or hold it."""
        pictures = _decoded(draft)
        seen = self._inspect(pictures, fps)
        found = seen.findings
        boxes: list[Box] = []
        masks: list[Box] = []
        size = (draft.width, draft.height)
        if seen.failure:
            return replace(_held(draft, seen.failure), findings=found)
        if seen.bad and self._settings.personal_overlay == "quarantine" and not seen.has_face:
            return _unmasked(draft, found)
        for number in range(_ROUNDS):
            if not seen.bad:
                break
            boxes += [finding.box for finding in seen.bad]
            masks = panel_masks(boxes, size)
            masked = (fill(picture, masks) for picture in pictures)
            again = self._write(masked, clip_id, fps, part=f"-{number}")
            assert again.path is not None
            assert draft.path is not None
            again.path.replace(draft.path)
            draft = replace(again, path=draft.path)
            seen = self._inspect(_decoded(draft), fps)
            if seen.failure:
                return replace(_held(draft, seen.failure), findings=found)
        hidden = tuple(_after_masking(finding) for finding in found)
        return self._decide(draft, hidden, seen, covered_share(masks, size), masked_layout)

    def _decide(
        self,
        draft: MadeClip,
        found: tuple[Finding, ...],
        left: Inspection,
        covered: float,
        masked_layout: bool,
    ) -> MadeClip:
        """The verdict once masking has ended: `found` at the first look, `left` at the last."""
        # what the last look found and the first did not; nothing is masked twice
        late = tuple(item for item in left.bad if item.box not in {each.box for each in found})
        draft = replace(draft, findings=(*found, *late), residual=len(left.bad))
        kinds = {finding.kind for finding in found}
        if "face" in kinds:
            return _held(draft, "face")
        if left.bad:
            return _held(draft, "residual-face" if left.has_face else "residual-text")
        if covered > _MOST_COVERED:
            return _held(draft, "overlay-large")
        doubt = self._doubt(draft)
        if doubt:
            return _held(draft, doubt)
        reasons = []
        if kinds & {"personal", "unread"}:
            reasons.append("overlay-masked")
        if masked_layout:
            reasons.append("layout-masked")
        reasons += [f"overlay-{kind}" for kind in ("device", "logo") if kind in kinds]
        return replace(draft, tier="tpt" if reasons else "p2ft", reasons=tuple(reasons))

    def _doubt(self, draft: MadeClip) -> str:
        """What the site's vision model says against a clip, as a reason."""
        if self._vision is None:
            return ""
        pictures = _decoded(draft)
        step = max(1, len(pictures) // _SHOWN)
        try:
            doubts = self._vision.doubts(pictures[step // 2 :: step][:_SHOWN])
        except RefinerFailed:
            return "vision-failed"
        return "vision-doubt" if doubts else ""

    def _inspect(self, pictures: Sequence[Picture], fps: Fraction) -> Inspection:
        return inspect(
            pictures, fps=float(fps), text=self._text, faces=self._faces, settings=self._settings
        )


def _decoded(draft: MadeClip) -> list[Picture]:
    """The pictures of a written draft: a few seconds, so they fit in memory."""
    assert draft.path is not None
    with av.open(draft.path, format="mp4") as container:
        container.streams.video[0].thread_type = "NONE"
        return [
            np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8)
            for frame in container.decode(video=0)
        ]


def _held(draft: MadeClip, reason: str) -> MadeClip:
    return replace(draft, tier="quarantine", reasons=(reason,))


def _unmasked(draft: MadeClip, found: tuple[Finding, ...]) -> MadeClip:
    """Held as it is, for a site that wants a person to see every such line."""
    bad = [finding for finding in found if finding.kind in {"personal", "unread"}]
    kind = "personal" if any(finding.kind == "personal" for finding in bad) else "unread"
    held = _held(draft, f"overlay-{kind}")
    return replace(held, findings=found, residual=len(bad))


def _after_masking(finding: Finding) -> Finding:
    """The finding as it is in the written clip: what is bad lies under a mask."""
    return replace(finding, masked=finding.kind in {"personal", "unread", "face"})


def _box_of(shares: tuple[float, float, float, float], picture: Picture) -> Box:
    height, width = picture.shape[:2]
    return (
        int(shares[0] * width),
        int(shares[1] * height),
        -int(-shares[2] * width // 1),
        -int(-shares[3] * height // 1),
    )
