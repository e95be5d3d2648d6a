"""What a site may say about the privacy of its patients, written from its ledger.

Data path: ledger -> `render_statement` -> Markdown. The headings follow what NIST SP 800-226 asks
of a claim of differential privacy: unit, neighbours, parameters, mechanism, composition, trust
model, and what is left out. Every figure is computed from the ledger's entries.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Sequence
from datetime import date

from ophora_privacy.accountant import CrossCheck, Epsilon, cross_check
from ophora_privacy.ledger import Ledger
from ophora_privacy.ledger_spend import Spend
from ophora_privacy.plan import PrivacyPlan

_NOT_COVERED = (
    "losses, where the site's settings let them leave (`share_loss`), and the site's own logs",
    "how many clips or patients there are, and how long a round took beyond its whole seconds",
    "what curation learned from the recordings: tiers, thresholds, instructions, reports, exports",
    "the choice of a stage, checkpoint or release by its quality on patients of this ledger",
    "adapters tuned with `ophora site tune --local`, which have no noise and must not leave it",
    "what others can learn from the same patients at another site, whose ledger adds to this one",
    "patients known under two pseudonyms, whose cost is up to the sum of both",
    "side channels: memory, timing below a second, and the noise's generator, which is not a "
    "cryptographic one",
)


def render_statement(ledger: Ledger, *, code: str, made_on: date) -> str:
    """The statement as Markdown. Raises PrivacyError where the ledger doesn't hold."""
    spends, receipt = ledger.spends(), ledger.receipt()
    events = [spend.event for spend in spends]
    spent, check = ledger.epsilon(), cross_check(events, ledger.delta)
    parts = (
        f"# Privacy statement of site {code}\n\n"
        f"Made on {made_on.isoformat()} from ledger `{receipt.ledger_id}`, {receipt.seq} entries, "
        f"head `{receipt.head_hash}`.",
        _guarantee(spent, ledger.cap),
        _mechanism(spends),
        _composition(spends),
        _accountant(check, spent),
        _trust(spends),
        "## What is not covered\n\n" + "\n".join(f"- {item}" for item in _NOT_COVERED),
    )
    return "\n\n".join(parts) + "\n"


def _guarantee(spent: Epsilon, cap: float) -> str:
    granted = "no cap" if math.isinf(cap) else f"{cap:g}"
    return (
        "## Guarantee\n\n"
        "| | |\n|---|---|\n"
        f"| unit of privacy | one {PrivacyPlan.unit}: all clips, both eyes, all dates |\n"
        f"| neighbouring data sets | {PrivacyPlan.neighbours} {PrivacyPlan.unit} |\n"
        f"| epsilon spent | {_figure(spent.value)} |\n"
        f"| delta | {spent.delta:g} |\n"
        f"| epsilon granted for life | {granted} |\n\n"
        f"In words: {spent.in_words()}."
    )


def _mechanism(spends: Sequence[Spend]) -> str:
    counted: dict[tuple[float, float, float, int], int] = {}
    for spend in spends:
        plan, event = spend.plan, spend.event
        key = (
            event.noise_multiplier, event.sampling_rate, plan.clip_norm, plan.clips_per_patient
        )  # fmt: skip
        counted[key] = counted.get(key, 0) + event.steps
    rows = [
        f"| {noise:g} | {rate:g} | {clip_norm:g} | {clips} | {steps} |"
        for (noise, rate, clip_norm, clips), steps in counted.items()
    ]
    return "\n".join(
        [
            "## Mechanism",
            "",
            "Gaussian mechanism on sums of patients' gradients. Each step draws every patient "
            "independently (Poisson), averages the gradients of that patient's clips, clips the "
            "average, adds noise once to the sum and divides by a public constant.",
            "",
            "| noise multiplier | sampling rate | clip norm | clips of a patient | steps |",
            "|---|---|---|---|---|",
            *(rows or ["| - | - | - | - | 0 |"]),
        ]
    )


def _composition(spends: Sequence[Spend]) -> str:
    stages = sorted({spend.stage for spend in spends})
    runs = {spend.run_id for spend in spends}
    trials = sum(spend.note == "trial" for spend in spends)
    cut_off = sum(not spend.settled for spend in spends)
    return (
        "## Composition\n\n"
        f"All {len(spends)} rounds that were ever reserved are composed: {len(runs)} runs, stages "
        f"{', '.join(stages) or 'none'}, repeats of a round, and trials of hyper-parameters "
        f"(rounds noted as such: {trials}; trials without the note are counted all the same). "
        "Budget is spent before the first gradient and never given back (rounds that did not end "
        f"and are counted in full: {cut_off})."
    )


def _accountant(check: CrossCheck, spent: Epsilon) -> str:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("ophora-federated", "dp-accounting", "opacus")
    )
    agree = "they agree" if check.agrees else "they do not all confirm it"
    return (
        "## Accountant\n\n"
        f"The figure is by: {spent.method}. Privacy loss distributions (PLD) give "
        f"{_figure(check.pld)}, the PRV accountant {_figure(check.prv)}, the Renyi bound "
        f"{_figure(check.rdp)}; {agree}. Where they differ, the larger counts.\n\n"
        f"Versions: {versions}."
    )


def _trust(spends: Sequence[Spend]) -> str:
    assumed = sorted({spend.assumes for spend in spends if spend.assumes is not None})
    lines = [
        "## Trust model",
        "",
        "Noise is added at this site, before the update leaves it. The guarantee holds against the "
        "coordinator, the other sites and whoever gets the adapter; it trusts this site's machines "
        "and staff.",
    ]
    if assumed:
        lines.append(
            f"\nFor some rounds the noise is shared between sites and holds only with at least "
            f"{', '.join(assumed)}."
        )
    return "\n".join(lines)


def _figure(value: float) -> str:
    if math.isnan(value):
        return "not computed"
    if math.isinf(value):
        return "infinite: no bound"
    return f"{value:.3f}" if value < 1000 else f"{value:.3g}"
