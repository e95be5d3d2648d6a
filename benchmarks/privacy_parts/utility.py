"""What privacy costs in videos: phase match and Frechet distance by epsilon, patients and noise.

Phantom clips rendered straight to latents, three sites of a third of the patients each, one adapter
a cell of the table. With local noise each site steps by DP-SGD and noises for itself (`tune`); with
distributed noise each patient gives one clipped gradient, only the sum over the sites carries the
whole noise, and the coordinator steps by Adam (`tune_patients`, `DistributedNoise`, the secure
sum's own grid; nothing is masked here, which changes no number). Both see as many patients a step,
and take as many steps. The cells of one row of patients share their clips, the fewer patients are
among the more.

A figure of epsilon is that of the whole training at `DELTA`, for one patient. Without noise the
gradients are clipped all the same.
"""

import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from goals import Goal
from ophora_curation.phases import PHASES
from ophora_curation.process_pool import process_pool
from ophora_deploy.phantom_latents import encode, render
from ophora_model.adapter import Adapter, attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.aggregation import ffa_mean
from ophora_model.base import Base, load_base
from ophora_model.latents import CachedClip
from ophora_model.patient_tuning import tune_patients
from ophora_model.presets import find_preset
from ophora_model.round_plan import RoundPlan, TuningPlan
from ophora_model.tuning import tune
from ophora_model.update import Tensors, Update
from ophora_privacy.features import DistributedNoise, SecureAggregation
from ophora_privacy.mechanism import ClippedGradient
from ophora_privacy.plan import PrivacyPlan
from ophora_privacy.secure_sum import Layout, SecureSum
from ophora_server.server_optimizer import ServerOptimizer, ServerOptimizerSettings
from phantom_judge import Panel, Quality

Noise = Literal["local", "distributed"]
NOISES: tuple[Noise, ...] = ("local", "distributed")
DELTA = 1e-5
SITES = 3
CLIPS_EACH = 2
RANK = 4
CLIP_NORM = 0.02
KEPT = 0.80  # of the phase match without noise, by the most patients at epsilon 8
_TARGETS = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")
_BOUND = 1.0  # of a coordinate of one site's sum
_DIGEST = "0" * 64
_BATCH = 100  # patients that are rendered by one job
_AVERAGED = 16
_TUNING = TuningPlan(
    learning_rate=8e-3,
    warmup_steps=4,
    beta1=0.9,
    beta2=0.99,
    weight_decay=0.0,
    caption_dropout=0.1,
    gradient_checkpointing=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Patients and how many of them a step sees, steps, and what judges the end."""

    epsilons: tuple[float | None, ...]
    patients: dict[int, int]  # how many there are -> how many a step draws, over all sites
    rounds: int  # of local noise; the steps of all rounds together are the sums with distributed
    steps: int
    seeds: int  # videos of each phase
    judge_patients: int
    judge_epochs: int


FULL = Size(
    epsilons=(3.0, 8.0, 50.0, None),
    patients={50: 24, 500: 96, 5000: 192},
    rounds=4,
    steps=16,
    seeds=8,
    judge_patients=24,
    judge_epochs=16,
)
QUICK = Size(
    epsilons=(8.0, None),
    patients={6: 3},
    rounds=1,
    steps=2,
    seeds=1,
    judge_patients=3,
    judge_epochs=3,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One training of the table."""

    patients: int
    epsilon: float | None
    noise: Noise

    def __str__(self) -> str:
        spent = "no noise" if self.epsilon is None else f"epsilon {self.epsilon:g}"
        return f"{self.patients} patients, {spent}, {self.noise}"


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Every cell of the table, a picture of it, and the goal for the most patients."""
    size = QUICK if quick else FULL
    cells = [
        Cell(patients=patients, epsilon=epsilon, noise=noise)
        for patients in sorted(size.patients, reverse=True)
        for epsilon in size.epsilons
        for noise in NOISES
    ]
    torch.set_num_threads(1)
    base = load_base(find_preset("tiny"))
    panel = Panel.prepare(
        base,
        patients=size.judge_patients,
        clips_each=len(PHASES),
        epochs=size.judge_epochs,
        seed=seed,
    )
    found: dict[Cell, Quality] = {}
    with process_pool(os.cpu_count() or 1) as pool:
        clips = _clips(pool, max(size.patients), seed)
        torch.save((clips, panel), folder / "material.pt")
        jobs = {pool.submit(_trained, cell, size, seed, folder): cell for cell in cells}
        for job in as_completed(jobs):
            cell = jobs[job]
            quality = found[cell] = job.result()
            sys.stderr.write(
                f"    {cell}: match {quality.match:.3f}, distance {quality.distance.value:.2f}\n"
            )
    table = {cell: found[cell] for cell in cells}
    draw_table(table, folder / "utility.png")
    return _goals(table, max(size.patients))


def _goals(table: dict[Cell, Quality], most: int) -> list[Goal]:
    rows = []
    for cell, quality in table.items():
        low, high = quality.interval
        distance = quality.distance
        rows += [
            Goal(
                what=f"{cell}: phase match, {low:.3f} to {high:.3f}",
                measured=quality.match,
                samples=quality.asked,
            ),
            Goal(
                what=f"{cell}: Frechet distance, {distance.low:.2f} to {distance.high:.2f}",
                measured=distance.value,
                samples=distance.samples,
            ),
        ]
    for noise in NOISES:
        noised = table[Cell(patients=most, epsilon=8.0, noise=noise)]
        free = table[Cell(patients=most, epsilon=None, noise=noise)]
        rows.append(
            Goal(
                what=f"{most} patients, epsilon 8, {noise}: phase match over that without noise",
                measured=noised.match / max(free.match, 1e-9),
                samples=noised.asked,
                at_least=KEPT,
            )
        )
    return rows


def draw_table(table: dict[Cell, Quality], path: Path) -> None:
    """Phase match and Frechet distance by epsilon, a line for each number of patients and noise."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots(1, 2)
    sizes = sorted({cell.patients for cell in table})
    epsilons = list(dict.fromkeys(cell.epsilon for cell in table))
    places = range(len(epsilons))
    for number, patients in enumerate(sizes):
        for noise in NOISES:
            row = [table[Cell(patients=patients, epsilon=e, noise=noise)] for e in epsilons]
            style = {"color": f"C{number}", "linestyle": "-" if noise == "distributed" else "--"}
            label = f"{patients:,} patients, {noise} noise"
            bounds = np.array([quality.interval for quality in row]).T
            matches = np.array([quality.match for quality in row])
            error = np.abs(bounds - matches)
            axes[0].errorbar(places, matches, error, label=label, marker="o", **style)
            distances = [quality.distance.value for quality in row]
            axes[1].plot(places, distances, label=label, marker="o", **style)
    axes[0].axhline(1 / len(PHASES), color="0.6", linewidth=1)
    axes[0].set(ylabel="phase match (bars: 95 %; grey: chance)", ylim=(0, 1))
    axes[1].set(ylabel="Frechet distance to unseen clips", ylim=(0, None))
    for axis in axes:
        axis.set_xticks(places, [f"{e:g}" if e is not None else "no noise" for e in epsilons])
        axis.set_xlabel(f"epsilon for one patient, delta {DELTA:g}")
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def _clips(pool: Executor, patients: int, seed: int) -> list[CachedClip]:
    """Latents of every patient's clips, those of few patients first."""
    jobs = [
        pool.submit(_rendered, first, min(_BATCH, patients - first), seed)
        for first in range(0, patients, _BATCH)
    ]
    return [clip for job in jobs for clip in job.result()]


def _rendered(first: int, patients: int, seed: int) -> list[CachedClip]:
    base = _base()
    clips = render(
        base.preset,
        prefix=f"p{first:05d}",
        patients=patients,
        clips_each=CLIPS_EACH,
        seed=1000 * seed + first,
    )
    return encode(base, clips)


@cache
def _base() -> Base:
    torch.set_num_threads(1)
    return load_base(find_preset("tiny"))


def _trained(cell: Cell, size: Size, seed: int, folder: Path) -> Quality:
    """Train one cell from nothing and ask it for its videos."""
    clips, panel = torch.load(folder / "material.pt", weights_only=False)
    base = _base()
    assert base.transformer is not None
    spec = replace(
        AdapterSpec.of_preset(base.preset, seed=seed),
        rank=RANK,
        alpha=float(RANK),
        targets=_TARGETS,
    )
    adapter = _adapter(spec)
    of = sorted({clip.patient_id for clip in clips[: cell.patients * CLIPS_EACH]})
    dealt = {patient: number % SITES for number, patient in enumerate(of)}
    sites = [
        [clip for clip in clips if dealt.get(clip.patient_id) == site] for site in range(SITES)
    ]
    study = _Study(base=base, adapter=adapter, spec=spec, sites=sites, cell=cell, size=size)
    tensors = study.local() if cell.noise == "local" else study.distributed()
    return panel.ask(base, adapter, tensors, seeds=size.seeds, seed=seed)


@cache
def _adapter(spec: AdapterSpec) -> Adapter:
    """Once a process: a base takes one adapter."""
    transformer = _base().transformer
    assert transformer is not None
    return attach_adapter(transformer, spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Study:
    base: Base
    adapter: Adapter
    spec: AdapterSpec
    sites: Sequence[Sequence[CachedClip]]
    cell: Cell
    size: Size

    def local(self) -> Tensors:
        """DP-SGD at each site, the mean of their updates, round by round."""
        size, tensors = self.size, self._zeros()
        privacy = self._privacy(size.steps, size.rounds, sites=SITES)
        tuning = replace(_TUNING, average_decay=0.5)
        for number in range(1, size.rounds + 1):
            plan = self._plan(number, privacy, tuning)
            updates = []
            for site in self.sites:
                self.adapter.write(tensors)
                tune(
                    self.base,
                    self.adapter,
                    site,
                    plan,
                    privacy,
                    average_decay=tuning.average_decay,
                )
                updates.append(Update(tensors=self.adapter.read()) - Update(tensors=tensors))
            mean = ffa_mean(updates, [1.0] * len(updates))
            tensors = (Update(tensors=tensors) + mean).tensors
        return tensors

    def distributed(self) -> Tensors:
        """A sum of clipped gradients a round, noised once, and the coordinator's Adam."""
        rounds, tensors = self.size.rounds * self.size.steps, self._zeros()
        privacy = self._privacy(1, rounds, sites=1)
        optimizer = ServerOptimizer(
            ServerOptimizerSettings(kind="adam", learning_rate=_TUNING.learning_rate, tau=1e-8)
        )
        gradients = replace(_TUNING, optimizer="sgd", learning_rate=1.0, weight_decay=0.0)
        recent = []
        for number in range(1, rounds + 1):
            plan = self._plan(number, privacy, gradients)
            mean = self._sum(plan, privacy, tensors)
            tensors = (Update(tensors=tensors) + Update(tensors=optimizer.step(mean))).tensors
            recent.append(tensors)
        last = recent[-_AVERAGED:]  # iterates are private already
        return {name: np.mean([each[name] for each in last], axis=0) for name in tensors}

    def _sum(self, plan: RoundPlan, privacy: PrivacyPlan, start: Tensors) -> Tensors:
        """Over the three sites, on the secure sum's grid; without noise a plain one."""
        layout = Layout.of(start)
        if not privacy.noise_multiplier:
            return self._plain_sum(plan, privacy, start, layout)
        noise = DistributedNoise(colluding_sites=1, steps_per_patient=1)
        secure = SecureAggregation(
            coordinate_bound=_BOUND, min_sites=SITES, max_sites=SITES, roster_digest=_DIGEST
        )
        summed = secure.plan(noise, privacy, attempt="utility", layout=layout, context=_DIGEST)
        words = np.zeros(layout.size, np.uint32)
        for site in self.sites:
            total = noise.site_half(summed, privacy)
            self._give(site, plan, privacy, start, total.add)
            words += total.noisy_input().words
        values = layout.unflatten(summed.grid.decode(words))
        codes = tuple("abc"[:SITES])
        return noise.coordinator_half(SecureSum(values=values, survivors=codes), privacy)

    def _plain_sum(
        self, plan: RoundPlan, privacy: PrivacyPlan, start: Tensors, layout: Layout
    ) -> Tensors:
        flat = np.zeros(layout.size, np.float32)

        def add(gradient: ClippedGradient) -> None:
            flat[:] += np.concatenate([tensor.numpy().ravel() for tensor in gradient.tensors])

        for site in self.sites:
            self._give(site, plan, privacy, start, add)
        return layout.unflatten(flat / np.float32(privacy.normaliser))

    def _give(
        self,
        site: Sequence[CachedClip],
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        give: Callable[[ClippedGradient], None],
    ) -> None:
        tune_patients(
            self.base, self.adapter, start, site, plan, privacy, give, steps=1,
            secret=os.urandom(32),
        )  # fmt: skip

    def _zeros(self) -> Tensors:
        return {k: np.zeros(v, np.float32) for k, v in self.adapter.shapes().items()}

    def _privacy(self, steps: int, rounds: int, *, sites: int) -> PrivacyPlan:
        """For one of so many sums: a site's own, or that of all sites."""
        drawn = self.size.patients[self.cell.patients]
        plan = PrivacyPlan(
            clip_norm=CLIP_NORM,
            noise_multiplier=0.0,
            sampling_rate=drawn / self.cell.patients,
            steps_per_round=steps,
            delta=DELTA,
            clips_per_patient=1,
            normaliser=drawn / sites,
        )
        if self.cell.epsilon is None:
            return plan
        return plan.calibrate(self.cell.epsilon, DELTA, rounds=rounds)

    def _plan(self, number: int, privacy: PrivacyPlan, tuning: TuningPlan) -> RoundPlan:
        return RoundPlan(
            run_id="utility",
            stage="p2ft",
            round=number,
            preset=self.base.preset.name,
            base_fingerprint=self.base.fingerprint,
            adapter=self.spec,
            tuning=tuning,
            privacy=privacy.to_dict(),
            code_version=importlib.metadata.version("ophora-federated"),
        )
