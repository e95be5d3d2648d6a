"""Three unequal sites together, one site with all their clips, and each site alone.

Phantom clips of twelve phases; every site films some phases far more often than the others. All
train TPT on everything and P2FT on what has no overlay, with the same clips a step in all: a step
of the pooled training takes as many as a step of the three sites together. Then each gets the same
prompts and seeds, a judge trained on other phantom clips says which phase it sees, and the Frechet
distance to clips without overlays that nobody trained on is taken over the judge's features.

The sites tune as in a federation's round (`ophora_model.tuning.tune`, the mean of updates over one
frozen A), here without noise and without any clipping: noise has its own figures.
"""

import importlib.metadata
import os
import sys
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from goals import Goal
from ophora_curation.phases import PHASES
from ophora_curation.process_pool import process_pool
from ophora_deploy.phantom_latents import encode, render
from ophora_model.adapter import Adapter, attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.aggregation import ffa_mean
from ophora_model.base import Base
from ophora_model.latents import CachedClip
from ophora_model.round_plan import RoundPlan, Stage, TuningPlan
from ophora_model.tuning import tune
from ophora_model.update import Tensors, Update
from ophora_privacy.plan import PrivacyPlan
from phantom_judge import Panel, Quality
from tuning_parts.material import fresh_base

PATIENTS = (8, 16, 24)  # of the three sites
OVERLAY_SHARE = 0.5
OFTEN = 4.0  # times as often as the other phases a site films its own
RATE = 1 / 8  # of the patients a step draws: 1, 2 and 3 of them
CLIPS_A_DRAW = 2
WITHIN = 0.05
LEAST_MATCH = 0.70
NO_CLIPPING = 1e6
BASE, FEDERATED, POOLED = "base", "federated", "pooled"
ALONE = tuple(f"site {number + 1} alone" for number in range(len(PATIENTS)))
MATERIAL = "material.pt"
AVERAGE_DECAY = 0.9  # the adapter of a round is the mean of some ten last iterates
RANK = 96  # B sees so many random projections of a width of 192; 32 of them lose thin instruments


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything; the rates are of the rounds' AdamW."""

    clips_each: int
    tpt: tuple[int, int]  # rounds, steps a round
    p2ft: tuple[int, int]
    rates: tuple[float, float]
    seeds: int  # videos of each phase
    judge_patients: int
    judge_epochs: int


FULL = Size(
    clips_each=12,
    tpt=(8, 110),
    p2ft=(6, 90),
    rates=(5e-3, 2.5e-3),
    seeds=16,
    judge_patients=24,
    judge_epochs=16,
)
QUICK = Size(
    clips_each=3,
    tpt=(1, 6),
    p2ft=(1, 4),
    rates=(5e-3, 2.5e-3),
    seeds=1,
    judge_patients=3,
    judge_epochs=3,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site's encoded clips; `clean` are those without an overlay."""

    clips: Sequence[CachedClip]
    clean: frozenset[str]

    def of_stage(self, stage: Stage) -> list[CachedClip]:
        """Everything for TPT, what has no overlay for P2FT."""
        return [clip for clip in self.clips if stage == "tpt" or clip.clip_id in self.clean]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What every training is given."""

    panel: Panel
    sites: Sequence[Site]

    def group(self, name: str) -> list[Site]:
        """Who trains together under this name."""
        if name == POOLED:
            clips = [clip for site in self.sites for clip in site.clips]
            clean = frozenset().union(*(site.clean for site in self.sites))
            return [Site(clips=clips, clean=clean)]
        return list(self.sites) if name == FEDERATED else [self.sites[ALONE.index(name)]]


@dataclass(slots=True, kw_only=True)
class Bench:
    """What one training works with."""

    base: Base
    adapter: Adapter
    spec: AdapterSpec
    size: Size
    seed: int
    zeros: Tensors = field(init=False)

    def __post_init__(self) -> None:
        self.zeros = {k: np.zeros(v, np.float32) for k, v in self.adapter.shapes().items()}


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Make clips, train each of the five in a process of its own, ask each for the same videos."""
    size = QUICK if quick else FULL
    base = fresh_base()
    panel = Panel.prepare(
        base,
        patients=size.judge_patients,
        clips_each=size.clips_each,
        epochs=size.judge_epochs,
        seed=seed,
    )
    sites = [_site(base, size, seed, number) for number in range(len(PATIENTS))]
    torch.save(Material(panel=panel, sites=sites), folder / MATERIAL)
    found: dict[str, Quality] = {}
    with process_pool(os.cpu_count() or 1) as pool:
        names = (FEDERATED, POOLED, *reversed(ALONE), BASE)  # the longest first
        jobs = {pool.submit(_trained, name, size, seed, folder): name for name in names}
        for job in as_completed(jobs):
            name, quality = jobs[job], job.result()
            found[name] = quality
            _say(f"{name}: match {quality.match:.3f}, distance {quality.distance.value:.2f}")
    return _goals({name: found[name] for name in (BASE, FEDERATED, POOLED, *ALONE)})


def _trained(name: str, size: Size, seed: int, folder: Path) -> Quality:
    """What videos the adapter of this name is worth."""
    material: Material = torch.load(folder / MATERIAL, weights_only=False)
    base = fresh_base()
    assert base.transformer is not None
    spec = replace(AdapterSpec.of_preset(base.preset, seed=seed), rank=RANK, alpha=float(RANK))
    adapter = attach_adapter(base.transformer, spec)
    bench = Bench(base=base, adapter=adapter, spec=spec, size=size, seed=seed)
    tensors = bench.zeros if name == BASE else _train(bench, material.group(name), name)
    return material.panel.ask(base, adapter, tensors, seeds=size.seeds, seed=seed)


def _goals(found: dict[str, Quality]) -> list[Goal]:
    fed, pooled = found[FEDERATED], found[POOLED]
    alone = [found[name] for name in ALONE]
    rows = [
        Goal(
            what="phase match, federated over pooled",
            measured=fed.match / max(pooled.match, 1e-9),
            samples=fed.asked,
            at_least=1 - WITHIN,
        ),
        Goal(
            what="Frechet distance, federated over pooled",
            measured=fed.distance.value / pooled.distance.value,
            samples=fed.asked,
            at_most=1 + WITHIN,
        ),
        Goal(
            what="phase match, federated over the best site alone",
            measured=fed.match / max(*(each.match for each in alone), 1e-9),
            samples=fed.asked,
            at_least=1.0,
        ),
        Goal(
            what="Frechet distance, federated over the best site alone",
            measured=fed.distance.value / min(each.distance.value for each in alone),
            samples=fed.asked,
            at_most=1.0,
        ),
        Goal(
            what="phase match after P2FT, federated",
            measured=fed.match,
            samples=fed.asked,
            at_least=LEAST_MATCH,
        ),
    ]
    for name, quality in found.items():
        low, high = quality.interval
        distance = quality.distance
        rows += [
            Goal(
                what=f"{name}: phase match, {low:.3f} to {high:.3f}",
                measured=quality.match,
                samples=quality.asked,
            ),
            Goal(
                what=f"{name}: Frechet distance, {distance.low:.2f} to {distance.high:.2f}",
                measured=distance.value,
                samples=distance.samples,
            ),
        ]
    return rows


def _site(base: Base, size: Size, seed: int, number: int) -> Site:
    weights = np.ones(len(PHASES))
    weights[number :: len(PATIENTS)] = OFTEN
    clips = render(
        base.preset,
        prefix=f"site{number}",
        patients=PATIENTS[number],
        clips_each=size.clips_each,
        seed=seed + 100 * (number + 1),
        weights=list(weights / weights.sum()),
        overlay_share=OVERLAY_SHARE,
    )
    clean = frozenset(clip.clip_id for clip in clips if not clip.overlay)
    return Site(clips=encode(base, clips), clean=clean)


def _train(bench: Bench, sites: Sequence[Site], name: str) -> Tensors:
    """Both stages by rounds; one site by itself takes a stage in one go, optimizer and all."""
    tensors, number = bench.zeros, 0
    stages: tuple[tuple[Stage, tuple[int, int], float], ...] = (
        ("tpt", bench.size.tpt, bench.size.rates[0]),
        ("p2ft", bench.size.p2ft, bench.size.rates[1]),
    )
    for stage, (rounds, steps), rate in stages:
        if len(sites) == 1:
            rounds, steps = 1, rounds * steps
        for _ in range(rounds):
            number += 1
            plan = _plan(bench, stage, number, steps, rate)
            updates = [_tune(bench, plan, site.of_stage(stage), tensors) for site in sites]
            mean = ffa_mean(updates, [1.0] * len(updates))
            tensors = (Update(tensors=tensors) + mean).tensors
            _say(f"{name}: round {number}")
    return tensors


def _tune(bench: Bench, plan: RoundPlan, clips: Sequence[CachedClip], start: Tensors) -> Update:
    bench.adapter.write(start)
    privacy = PrivacyPlan.from_dict(plan.privacy)
    secret = f"{bench.seed}/{len(clips)}/{clips[0].clip_id}".encode()
    tune(
        bench.base,
        bench.adapter,
        clips,
        plan,
        privacy,
        secret=secret,
        average_decay=plan.tuning.average_decay,
    )
    return Update(tensors=bench.adapter.read()) - Update(tensors=start)


def _plan(bench: Bench, stage: Stage, number: int, steps: int, rate: float) -> RoundPlan:
    privacy = PrivacyPlan(
        clip_norm=NO_CLIPPING,
        noise_multiplier=0.0,
        sampling_rate=RATE,
        steps_per_round=steps,
        delta=1e-3,
        clips_per_patient=CLIPS_A_DRAW,
        normaliser=1.0,
    )
    return RoundPlan(
        run_id="quality",
        stage=stage,
        round=number,
        preset=bench.base.preset.name,
        base_fingerprint=bench.base.fingerprint,
        adapter=bench.spec,
        tuning=TuningPlan(
            learning_rate=rate,
            warmup_steps=4,
            beta1=0.9,
            beta2=0.95,
            weight_decay=1e-3,
            caption_dropout=0.1,
            gradient_checkpointing=False,
            average_decay=AVERAGE_DECAY,
        ),
        privacy=privacy.to_dict(),
        code_version=importlib.metadata.version("ophora-federated"),
    )


def _say(text: str) -> None:
    sys.stderr.write(f"    {text}\n")
