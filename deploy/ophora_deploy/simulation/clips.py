"""The clips of one simulated site: made when the site is first asked, then read from the disk.

    seed, site number -> SiteShare -> phantom clips -> latents -> OUT/clips/CODE.safetensors

They are phantoms, so they lie in the open; a real site's are sealed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ophora_deploy.phantom_latents import PhantomClip, encode, render
from ophora_deploy.simulation.partition import share_of
from ophora_deploy.simulation.plan import SimulationPlan
from ophora_model.base import Base
from ophora_model.draft import draft_of
from ophora_model.latents import CachedClip


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteClips:
    """A site's encoded clips; `clean` are the ids of those without an overlay."""

    clips: Sequence[CachedClip]
    clean: frozenset[str]

    def of_stage(self, stage: str) -> list[CachedClip]:
        """Everything for TPT, what is clean for P2FT."""
        return [clip for clip in self.clips if stage == "tpt" or clip.clip_id in self.clean]


def clips_of(plan: SimulationPlan, number: int, folder: Path, base: Base) -> SiteClips:
    """Of site `number`; one site's clips are in memory at a time."""
    path = folder / f"{plan.code(number)}.safetensors"
    if not path.exists():
        _write(path, plan, number, base)
    return _read(path)


def _write(path: Path, plan: SimulationPlan, number: int, base: Base) -> None:
    share = share_of(plan, number)
    made = render(
        base.preset,
        prefix=plan.code(number),
        patients=share.patients,
        clips_each=plan.clips_each,
        seed=share.clips_seed,
        weights=share.phase_weights,
        overlay_share=plan.overlay_share,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path) as part:
        _save(part, made, encode(base, made))


def _save(part: Path, made: Sequence[PhantomClip], clips: Sequence[CachedClip]) -> None:
    texts = sorted({clip.instruction for clip in made})
    by_text = {a.instruction: b.prompt_LD for a, b in zip(made, clips, strict=True)}
    facts = {
        "clips": [
            [clip.clip_id, clip.patient_id, texts.index(clip.instruction), int(clip.overlay)]
            for clip in made
        ],
        "scaling": clips[0].scaling,
    }
    tensors = {
        "mean_NTCHW": torch.stack([clip.mean_TCHW for clip in clips]),
        "logvar_NTCHW": torch.stack([clip.logvar_TCHW for clip in clips]),
        "prompt_MLD": torch.stack([by_text[text] for text in texts]),
        "unconditional_LD": clips[0].unconditional_LD.clone(),
    }
    save_file(tensors, part, metadata={"facts": json.dumps(facts)})


def _read(path: Path) -> SiteClips:
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
    clips = [
        CachedClip(
            clip_id=clip_id,
            patient_id=patient_id,
            mean_TCHW=tensors["mean_NTCHW"][row],
            logvar_TCHW=tensors["logvar_NTCHW"][row],
            prompt_LD=tensors["prompt_MLD"][text],
            unconditional_LD=tensors["unconditional_LD"],
            scaling=facts["scaling"],
        )
        for row, (clip_id, patient_id, text, _) in enumerate(facts["clips"])
    ]
    clean = frozenset(clip_id for clip_id, _, _, overlay in facts["clips"] if not overlay)
    return SiteClips(clips=clips, clean=clean)
