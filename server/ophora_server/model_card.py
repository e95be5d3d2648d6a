"""MODEL_CARD.md: a published release in words, for who is to use it and who is to trust it.

Everything in it comes from the release's own records; it adds no judgement but the limits, which
hold for every release of this kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ophora_model.adapter_card import AdapterCard
from ophora_model.release import Release
from ophora_privacy.accountant import Epsilon, Method
from ophora_server.evidence import Evidence, Figure
from ophora_server.release_gate import Decision, Row
from ophora_server.release_policy import ReleasePolicy

# the card does not say which accountant: one is named, and its name taken out again
_METHOD: Method = "rdp upper bound"
_LIMITS = (
    "The videos it makes are synthetic. They show no patient, and they are no record of an"
    " operation.",
    "It is for teaching and research. It is no medical device, and nothing it shows is advice for"
    " a patient.",
    "An audit can prove a leak, never its absence: a figure that holds says that this attack, with"
    " these samples, found no more than this. The stated epsilon is the promise.",
    "Sites measured on their own patients; what they share of it are the figures below.",
    "Instruments, anatomy and steps can be wrong in ways that look right.",
)
_IRIS = (
    "The iris and the fundus are biometrics. Videos of eyes can't be called de-identified by what"
    " is masked in text and picture alone, and this release does not claim it. The iris audit tells"
    " how often one matcher found a training patient's iris in generated videos; a better matcher"
    " may find more."
)


def render_card(
    release: Release, evidence: Evidence, policy: ReleasePolicy, decision: Decision
) -> str:
    """The card as Markdown, the same text for the same records."""
    card = release.card
    parts = [
        f"# {card.preset}, stage {card.stage}, round {card.round}",
        "A LoRA adapter for a text-to-video generator of eye surgery. Hospitals tuned it together;"
        " no video, frame, narration or name left any of them.",
        "## What it is",
        _table(("", ""), _facts(release)),
        "## Who took part",
        _people(card),
        "## Privacy",
        _privacy(card),
        "## Gate",
        f"{_outcome(decision)} A rate is held against the upper end of its 95 % interval.",
        _table(
            ("threshold", "measured", "interval", "must be", "holds"), map(_gate_row, decision.rows)
        ),
        "## Evidence",
        _table(
            ("kind", "figure", "value", "interval", "samples", "date"),
            map(_evidence_row, evidence.figures),
        ),
        "How to measure them again:",
        "\n".join(sorted({_command(figure) for figure in evidence.figures})),
        "## Approvals",
        f"Signed by {len(decision.approved)} sites ({policy.min_approvals} needed):"
        f" {', '.join(decision.approved)}.",
        "## Limits",
        "\n".join(f"- {limit}" for limit in _LIMITS),
        _IRIS,
    ]
    return "\n\n".join(parts) + "\n"


def _facts(release: Release) -> list[tuple[str, str]]:
    card = release.card
    return [
        ("base", f"{card.preset}, fingerprint `{card.base_fingerprint}`"),
        ("adapter", f"rank {card.rank}, alpha {card.alpha:g}, file `{release.sha256}`"),
        ("stage", card.stage),
        ("rounds", f"{card.round} over all stages, {len(release.history)} in its history"),
        ("code", card.code_version),
        *((f"sampler {key}", f"{value}") for key, value in sorted(card.sampler.items())),
    ]


def _people(card: AdapterCard) -> str:
    named = ", ".join(card.contributors) or "none is named"
    return f"{len(card.contributors)} sites, by pseudonym: {named}."


def _privacy(card: AdapterCard) -> str:
    if card.epsilon is None or card.delta is None:
        return "No guarantee is stated."
    words = Epsilon(value=card.epsilon, delta=card.delta, method=_METHOD).in_words()
    words = words.replace(f" ({_METHOD})", "", 1)
    return f"Per patient, over all rounds, at delta {card.delta:g}: {words}."


def _outcome(decision: Decision) -> str:
    held = len(decision.rows) - len(decision.failing)
    return f"{held} of {len(decision.rows)} thresholds hold."


def _gate_row(row: Row) -> Sequence[str]:
    limit = "" if row.limit is None else f"{row.relation} {row.limit:g}"
    interval = figure_interval(row.low, row.high)
    return row.name, figure_value(row.measured), interval, limit, "yes" if row.holds else row.why


def _evidence_row(figure: Figure) -> Sequence[str]:
    return (
        figure.kind,
        figure.name,
        figure_value(figure.value),
        figure_interval(figure.low, figure.high),
        f"{figure.samples}",
        figure.made_on,
    )


def _command(figure: Figure) -> str:
    parameters = ", ".join(f"{key}={value}" for key, value in sorted(figure.parameters.items()))
    seed = "" if figure.seed is None else f"seed {figure.seed}"
    told = "; ".join(part for part in (parameters, seed, f"code {figure.code_version}") if part)
    command = figure.command.replace("`", "'")
    return f"- `{command}` ({told})"


def figure_value(value: float | None) -> str:
    """As tables show it."""
    return "-" if value is None else f"{value:.4g}"


def figure_interval(low: float | None, high: float | None) -> str:
    """As tables show it; "" where there is none."""
    return "" if low is None or high is None else f"{low:.4g} to {high:.4g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_line(head), _line(["---"] * len(head)), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
