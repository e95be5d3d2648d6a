"""Whether the audits see what they should, and nothing else.

The one-run bound against the paper's printed values and against Gaussian mechanisms of known cost;
then real canaries (drawn, encoded, trained on by `tuning.tune`), once without noise and once within
an epsilon of 8; then irises of the phantom, early against late in the same shot.
"""

import dataclasses
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from goals import Goal, share
from ophora_model.adapter import attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.audit.canaries import Canary, canary_frames, coins, draw_canaries
from ophora_model.audit.iris import iris_code, iris_distances
from ophora_model.audit.scores import membership_scores
from ophora_model.base import load_base
from ophora_model.latents import CachedClip, ClipSource, LatentsCache
from ophora_model.presets import find_preset
from ophora_model.round_plan import RoundPlan, TuningPlan
from ophora_model.tuning import tune
from ophora_model.video import write_video
from ophora_privacy.accountant import epsilon_of, noise_for
from ophora_privacy.audit.membership import MembershipFigures, membership_figures
from ophora_privacy.audit.one_run import CanaryFigures, canary_figures, epsilon_lower_bound
from ophora_privacy.plan import PrivacyPlan

_PUBLISHED = (  # arXiv 2305.08846, appendix D and section 7
    ((100, 100, 75), 0.0, 0.702),
    ((100, 100, 75), 1e-4, 0.699),
    ((1000, 100, 75), 1e-4, 0.673),
    ((100_000, 1510, 1439), 1e-5, 2.675),
)
_EPSILON, _DELTA, _RATE = 8.0, 1e-3, 0.2
_PHASE = "irrigation_aspiration"


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """The statistics, then the power of the attacks, then the irises."""
    return [
        *_statistics(runs=40 if quick else 400, seed=seed),
        *_power(folder, quick=quick, seed=seed),
        *_irises(people=4 if quick else 24, seed=seed),
    ]


def _statistics(*, runs: int, seed: int) -> list[Goal]:
    apart = [
        abs(epsilon_lower_bound(*counts, delta=delta) - bound)
        for counts, delta, bound in _PUBLISHED
    ]
    rng = np.random.default_rng(seed)
    kept, shown = 0, []
    for noise in (0.5, 1.0, 3.0):
        true = _gaussian_epsilon(noise, 1e-5)
        for _ in range(runs):
            included = rng.random(200) < 0.5
            scores = included + rng.normal(0, noise, 200)
            bound = canary_figures(list(scores), list(included), delta=1e-5).epsilon_at_least
            kept += bound <= true
            shown.append(bound / true)
    return [
        Goal(
            what="one-run bound, largest distance from the paper's values",
            measured=max(apart),
            samples=len(apart),
            at_most=1e-3,
        ),
        share(
            "Gaussian mechanisms whose bound stays below their epsilon",
            kept,
            3 * runs,
            at_least=0.95,
            bounded=True,
        ),
        Goal(
            what="bound over true epsilon, mean over the same",
            measured=float(np.mean(shown)),
            samples=3 * runs,
        ),
    ]


def _gaussian_epsilon(noise: float, delta: float) -> float:
    """Of one Gaussian mechanism of sensitivity 1 (Balle and Wang 2018)."""

    def passed(value: float) -> float:
        return 0.5 * math.erfc(-value / math.sqrt(2))

    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        half, shift = 1 / (2 * noise), middle * noise
        cost = passed(half - shift) - math.exp(middle) * passed(-half - shift)
        low, high = (middle, high) if cost > delta else (low, middle)
    return high


def _power(folder: Path, *, quick: bool, seed: int) -> list[Goal]:
    """A quick sample trains too little to be told from no training: its figures aren't judged."""
    canaries, steps = (16, 4) if quick else (40, 400)
    drawn = draw_canaries(f"benchmark {seed}".encode(), canaries)
    clips = _encoded(folder, drawn)
    open_, shown = _attacked(drawn, clips, _privacy(0.0, canaries, steps))
    noise = noise_for(_EPSILON, _DELTA, _RATE, steps, tolerance=0.02)
    privacy = _privacy(noise, canaries, steps)
    epsilon = epsilon_of([privacy.event()], _DELTA).value
    closed, hidden = _attacked(drawn, clips, privacy)
    return [
        Goal(
            what="no noise: AUC's lower end",
            measured=open_.auc_interval[0],
            samples=canaries,
            at_least=None if quick else 0.75,
        ),
        Goal(
            what="no noise: epsilon shown by canaries",
            measured=shown.epsilon_at_least,
            samples=canaries,
            at_least=None if quick else 0.5,
        ),
        Goal(
            what=f"epsilon {epsilon:.2f}: AUC's lower end",
            measured=closed.auc_interval[0],
            samples=canaries,
            at_most=0.5,
        ),
        Goal(
            what=f"epsilon {epsilon:.2f}: epsilon shown by canaries",
            measured=hidden.epsilon_at_least,
            samples=canaries,
            at_most=epsilon,
        ),
        Goal(what="no noise: AUC", measured=open_.auc, samples=canaries),
        Goal(what=f"epsilon {epsilon:.2f}: AUC", measured=closed.auc, samples=canaries),
    ]


def _encoded(folder: Path, drawn: Sequence[Canary]) -> list[CachedClip]:
    import hashlib

    torch.set_num_threads(1)
    preset = find_preset("tiny")
    base = load_base(preset, parts=("vae", "text"))
    sources = []
    for canary in drawn:
        path = folder / f"{canary.clip_id}.mp4"
        write_video(path, canary_frames(canary, preset), preset.fps)
        sources.append(
            ClipSource(
                clip_id=canary.clip_id,
                patient_id=canary.patient_id,
                path=path,
                instruction=canary.instruction,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
        )
    with tempfile.TemporaryDirectory(prefix="latents-") as name:
        cache = LatentsCache(Path(name), base, key=b"benchmark key, not a secret one!")
        cache.fill(sources)
        return cache.load(sources)


def _attacked(
    drawn: Sequence[Canary], clips: Sequence[CachedClip], privacy: PrivacyPlan
) -> tuple[MembershipFigures, CanaryFigures]:
    """Trains on the included canaries, then scores all of them."""
    base = load_base(find_preset("tiny"), parts=("transformer",))
    assert base.transformer is not None
    base = dataclasses.replace(base, compute=torch.float32)
    spec = AdapterSpec.of_preset(base.preset, seed=0)
    adapter = attach_adapter(base.transformer, spec)
    seen = [clip for clip, canary in zip(clips, drawn, strict=True) if canary.included]
    tune(base, adapter, seen, _plan(spec), privacy, secret=b"s" * 32)
    scores = membership_scores(base, clips, attacks=("sima",))["sima"]
    groups: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
    for canary, score in zip(drawn, scores, strict=True):
        groups[canary.included][canary.patient_id] = [float(score)]
    figures = membership_figures(groups[True], groups[False])
    return figures, canary_figures(list(scores), coins(drawn), delta=privacy.delta)


def _privacy(noise: float, canaries: int, steps: int) -> PrivacyPlan:
    """Without noise the clipping is off as well."""
    return PrivacyPlan(
        clip_norm=0.03 if noise else 1e3,
        noise_multiplier=noise,
        sampling_rate=_RATE,
        steps_per_round=steps,
        delta=_DELTA,
        clips_per_patient=1,
        normaliser=max(1.0, _RATE * canaries / 2),
    )


def _plan(spec: AdapterSpec) -> RoundPlan:
    return RoundPlan(
        run_id="audit",
        stage="tpt",
        round=1,
        preset="tiny",
        base_fingerprint="0" * 64,
        adapter=spec,
        tuning=TuningPlan(
            learning_rate=1e-2,
            warmup_steps=4,
            beta1=0.9,
            beta2=0.95,
            weight_decay=0.0,
            caption_dropout=0.0,
            gradient_checkpointing=False,
        ),
        privacy={},
        code_version="0",
    )


def _irises(*, people: int, seed: int) -> list[Goal]:
    """At the tiny preset's size; what the camera sees, before any autoencoder."""
    from ophora_curation.phantom.look import draw_eye_look
    from ophora_curation.phantom.scene import Shot

    preset = find_preset("tiny")
    early, late = [], []
    for person in range(people):
        shot = Shot(
            _PHASE,
            draw_eye_look(np.random.default_rng([seed, 1, person])),
            np.random.default_rng([seed, 2, person]),
            frames=80,
            height=preset.height,
            width=preset.width,
            fps=8.0,
        )
        parts = [np.stack([shot.frame(start + 4 * k) for k in range(9)]) for start in (0, 40)]
        codes = [iris_code(part) for part in parts]
        if codes[0] is not None and codes[1] is not None:
            early.append(codes[0])
            late.append(codes[1])
    found = iris_distances(early, late)
    right = int((found.argmin(axis=1) == np.arange(len(early))).sum())
    return [
        share("eyes in which an iris is seen", len(early), people, at_least=0.9),
        share("irises whose nearest later one is their own", right, len(early), at_least=0.9),
    ]
