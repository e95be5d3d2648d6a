"""The site's half of an audit: the release against the site's own clips, aggregates out.

    release -> base with adapter -> scores of trained and held-out patients, of canaries
                                 -> generated videos -> likeness to trained and held-out patients
        -> figures -> `SiteAudit`, the only thing that leaves

Scores, distances, codes of irises and generated videos stay in memory and are gone afterwards. The
site is trusted with its own data; what it reports is not noisy, so a site runs this when it wants
to, not whenever it is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ophora_client.clip_sources import (
    AuditSources,
    audit_sources,
    canaries_folder,
    read_canaries,
)
from ophora_client.errors import SiteInvalid
from ophora_client.site import Site
from ophora_privacy.audit.errors import AuditInvalid
from ophora_privacy.audit.membership import MIN_PATIENTS, membership_figures
from ophora_privacy.audit.one_run import CanaryFigures, canary_figures
from ophora_privacy.audit.replication import ReplicationFigures, replication_figures
from ophora_privacy.audit.site_audit import (
    ATTACKS,
    LIKENESSES,
    OverlayFigures,
    SiteAudit,
)

if TYPE_CHECKING:
    from ophora_model.base import Base
    from ophora_model.latents import CachedClip, ClipSource, LatentsCache
    from ophora_model.video import Frames

Progress = Callable[[str, int, int], None]  # part, done, all
ReadText = Callable[["Frames"], list[str]]
_OVERLAY_SHARE = 4  # one generated video in so many gets a canary's instruction
_CANARY_ATTACK = "sima"  # fixed beforehand, as the bound demands; the strongest of the three here
_Rows = Any  # float64 [rows, columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """How much is measured. `videos` 0 leaves replication and overlays out.

    At most `patients` of each group with `clips_per_patient` clips each, chosen by hash. `steps`
    are sampling steps, by default the preset's.
    """

    stage: str = "tpt"
    videos: int = 24
    patients: int = 200
    clips_per_patient: int = 3
    steps: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("videos", 0), ("patients", MIN_PATIENTS), ("clips_per_patient", 1)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= 10_000:
                raise AuditInvalid(f"{name}={value!r}: must be a whole number in [{low}, 10000]")


def plant_canaries(site: Site, count: int) -> int:
    """Makes the site's canaries, of which the coins include about half; how many were included.

    From then on the included ones train with every round. Raises `SiteInvalid` where there are
    some already: a coin is thrown once.
    """
    from ophora_model.audit.canaries import canary_frames, draw_canaries
    from ophora_model.draft import write_whole
    from ophora_model.presets import find_preset
    from ophora_model.video import write_video

    folder = canaries_folder(site.manifest_path)
    if (folder / "canaries.json").exists():
        raise SiteInvalid("canaries: planted already; their coins must stay as they fell")
    preset = find_preset(site.settings.model.preset)
    folder.mkdir(mode=0o700, exist_ok=True)
    entries = []
    canaries = draw_canaries(site.key(), count)
    for canary in canaries:
        path = folder / f"{canary.clip_id}.mp4"
        write_video(path, canary_frames(canary, preset), preset.fps)
        entries.append(
            {
                "clip_id": canary.clip_id,
                "patient_id": canary.patient_id,
                "instruction": canary.instruction,
                "code": canary.code,
                "included": canary.included,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        )
    write_whole(folder / "canaries.json", json.dumps({"canaries": entries}).encode())
    read_canaries(site.manifest_path)
    return sum(canary.included for canary in canaries)


def audit_site(
    site: Site,
    release: Path,
    options: AuditOptions,
    *,
    read_text: ReadText | None = None,
    progress: Progress | None = None,
) -> SiteAudit:
    """Audits the release with what the site has. Deterministic on one machine.

    What can't be measured is named with its reason; nothing is measured over fewer than five
    patients. Don't start the trainer meanwhile: it drops held-out clips from the shared cache.
    Raises what reading the release raises.
    """
    return _Audit(site, release, options, read_text, progress or _silent).run()


def _silent(part: str, done: int, total: int) -> None:
    pass


class _Audit:
    """One run: the base with the release attached, and the site's groups."""

    def __init__(
        self,
        site: Site,
        release: Path,
        options: AuditOptions,
        read_text: ReadText | None,
        progress: Progress,
    ) -> None:
        from ophora_model.base import load_base
        from ophora_model.latents import LatentsCache
        from ophora_model.presets import find_preset
        from ophora_model.release import attach_release, read_release

        self._site, self._options = site, options
        self._read_text, self._progress = read_text, progress
        self._release = read_release(release)
        folder = site.settings.model.base_folder
        self._base: Base = load_base(
            find_preset(site.settings.model.preset), Path(folder) if folder else None
        )
        attach_release(self._base, self._release)
        self._cache: LatentsCache = LatentsCache(site.cache_dir, self._base, key=site.key())
        found = audit_sources(site.manifest_path, site.clips_dir, options.stage)
        self._sources: AuditSources = found
        self._trained = _some(found.trained, options)
        self._held_out = _some(found.held_out, options)
        self._missing: dict[str, str] = {}

    def run(self) -> SiteAudit:
        """Every part that can be measured."""
        ledger = self._site.open_ledger()
        membership = self._membership()
        canaries = self._canaries(ledger.delta)
        replication, overlay = self._generated()
        return SiteAudit(
            site=self._site.settings.site.code,
            release_sha256=self._release.sha256,
            epsilon=ledger.epsilon().value,
            delta=ledger.delta,
            membership=membership,
            replication=replication,
            canaries=canaries,
            overlay=overlay,
            missing=self._missing,
        )

    def _membership(self) -> dict[Any, Any]:
        if not self._has_groups(ATTACKS):
            return {}
        scores = [self._scores(group, ATTACKS) for group in (self._trained, self._held_out)]
        groups = [
            {attack: _by_patient(group, values[attack]) for attack in ATTACKS}
            for group, values in zip((self._trained, self._held_out), scores, strict=True)
        ]
        return {
            attack: membership_figures(groups[0][attack], groups[1][attack]) for attack in ATTACKS
        }

    def _canaries(self, delta: float) -> CanaryFigures | None:
        sources, coins = self._sources.canaries, self._sources.coins
        if not sources or all(coins) or not any(coins):
            self._missing["canaries"] = "no-canaries"
            return None
        scores = self._scores(sources, (_CANARY_ATTACK,))[_CANARY_ATTACK]
        return canary_figures(list(scores), coins, delta=delta)

    def _generated(self) -> tuple[dict[Any, ReplicationFigures], OverlayFigures | None]:
        if not self._options.videos:
            self._missing |= dict.fromkeys((*LIKENESSES, "overlay"), "not-asked")
            return {}, None
        asked = self._prompts()
        planted = self._planted_prompts()
        videos = self._generate([*asked, *planted])
        overlay = self._overlay(videos)
        if not self._has_groups(LIKENESSES):
            return {}, overlay
        return self._replication(videos[: len(asked)]), overlay

    def _replication(self, videos: Sequence[Frames]) -> dict[Any, ReplicationFigures]:
        from ophora_model.audit import likeness

        made = [likeness.encode_frames(self._base, video) for video in videos]
        groups = [self._load(group) for group in (self._trained, self._held_out)]
        known = [[clip.mean_TCHW for clip in group] for group in groups]
        found: dict[Any, ReplicationFigures] = {}
        for name, features in (
            ("content", likeness.content_features),
            ("motion", likeness.motion_features),
        ):
            rows = [features(latents) for latents in (made, *known)]
            everyone = np.concatenate(rows[1:])
            to = [likeness.distances(rows[0], each, reference=everyone) for each in rows[1:]]
            between = likeness.distances(rows[2], rows[1], reference=everyone)
            found[name] = self._figures(to[0], to[1], between)
        irises = self._irises(videos)
        if irises is not None:
            found["iris"] = irises
        return found

    def _figures(self, near: _Rows, far: _Rows, between: _Rows) -> ReplicationFigures:
        """From distances to clips to those to patients."""
        from ophora_model.audit.likeness import nearest_by_patient

        trained = [source.patient_id for source in self._trained]
        held_out = [source.patient_id for source in self._held_out]
        rows = nearest_by_patient(between, trained)[0]
        return replication_figures(
            nearest_by_patient(near, trained)[0],
            nearest_by_patient(far, held_out)[0],
            nearest_by_patient(rows.T, held_out)[0].T,
        )

    def _irises(self, videos: Sequence[Frames]) -> ReplicationFigures | None:
        from ophora_model.audit.iris import iris_code, iris_distances

        made = [code for code in map(iris_code, videos) if code is not None]
        trained, held_out = self._eyes(self._trained), self._eyes(self._held_out)
        if not made or min(len(trained), len(held_out)) < MIN_PATIENTS:
            self._missing["iris"] = "few-irises"
            return None

        def nearest(ones: Sequence[Any], eyes: Mapping[str, Sequence[Any]]) -> _Rows:
            return np.stack([iris_distances(ones, eyes[name]).min(axis=1) for name in eyes], axis=1)

        between = [nearest(codes, trained).min(axis=0) for codes in held_out.values()]
        return replication_figures(
            nearest(made, trained), nearest(made, held_out), np.stack(between)
        )

    def _eyes(self, sources: Sequence[ClipSource]) -> dict[str, list[Any]]:
        """Codes of the irises that can be seen, by patient. Identifiable: they stay here."""
        from ophora_model.audit.iris import iris_code
        from ophora_model.video import read_frames

        preset = self._base.preset
        found: dict[str, list[Any]] = {}
        for number, source in enumerate(sources, start=1):
            frames = read_frames(
                source.path,
                frames=preset.frames,
                height=preset.height,
                width=preset.width,
                fps=preset.fps,
            )
            code = iris_code(frames)
            if code is not None:
                found.setdefault(source.patient_id, []).append(code)
            self._progress("irises", number, len(sources))
        return found

    def _overlay(self, videos: Sequence[Frames]) -> OverlayFigures | None:
        from ophora_model.audit.glyphs import videos_with_code

        pairs = zip(self._sources.codes, self._sources.coins, strict=True)
        codes = [code for code, included in pairs if included]
        if not codes or self._read_text is None:
            self._missing["overlay"] = "not-asked" if codes else "no-canaries"
            return None
        return OverlayFigures(
            videos=len(videos),
            codes=len(codes),
            videos_with_code=videos_with_code(videos, codes, self._read_text),
        )

    def _prompts(self) -> list[str]:
        """Instructions of patients of both groups alike: those who trained get no more of them."""
        everyone = sorted({s.instruction for s in (*self._trained, *self._held_out)})
        if not everyone:
            return []
        rng = np.random.default_rng(self._options.seed)
        return [str(each) for each in rng.choice(everyone, self._options.videos)]

    def _planted_prompts(self) -> list[str]:
        pairs = zip(self._sources.canaries, self._sources.coins, strict=True)
        planted = [source.instruction for source, included in pairs if included]
        return planted[: max(1, self._options.videos // _OVERLAY_SHARE)] if planted else []

    def _generate(self, prompts: Sequence[str]) -> list[Frames]:
        from ophora_model.sampling import Generator, SamplerRecord

        generator = Generator(self._base)
        videos: list[Frames] = []
        for number, prompt in enumerate(prompts):
            record = SamplerRecord.of_preset(
                self._base.preset, seed=self._options.seed + number, steps=self._options.steps
            )
            videos += generator.generate([prompt], record)
            self._progress("videos", number + 1, len(prompts))
        return videos

    def _scores(self, sources: Sequence[ClipSource], attacks: Sequence[str]) -> dict[str, _Rows]:
        from ophora_model.audit.scores import membership_scores

        return membership_scores(
            self._base,
            self._load(sources),
            attacks=attacks,
            progress=lambda done, total: self._progress("scores", done, total),
        )

    def _load(self, sources: Sequence[ClipSource]) -> list[CachedClip]:
        self._cache.fill(sources)
        return self._cache.load(sources)

    def _has_groups(self, parts: Sequence[str]) -> bool:
        """Notes why these parts are missing where a group is too small."""
        for group, reason in ((self._trained, "few-trained"), (self._held_out, "few-held-out")):
            if len({source.patient_id for source in group}) < MIN_PATIENTS:
                self._missing |= dict.fromkeys(parts, reason)
                return False
        return True


def _some(sources: Sequence[ClipSource], options: AuditOptions) -> list[ClipSource]:
    """At most so many patients and clips of each, chosen by a hash that knows nothing of them."""
    by_patient: dict[str, list[ClipSource]] = {}
    for source in sorted(sources, key=lambda each: _mixed(each.clip_id, options.seed)):
        by_patient.setdefault(source.patient_id, []).append(source)
    chosen = sorted(by_patient, key=lambda each: _mixed(each, options.seed))[: options.patients]
    return [clip for name in chosen for clip in by_patient[name][: options.clips_per_patient]]


def _mixed(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


def _by_patient(sources: Sequence[ClipSource], scores: _Rows) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for source, score in zip(sources, scores, strict=True):
        found.setdefault(source.patient_id, []).append(float(score))
    return found
