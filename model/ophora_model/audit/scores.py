"""Membership scores: how much a base with its adapter attached treats a clip as one it has seen.

    loss   minus the training loss at fixed noise levels (Carlini et al. 2023, arXiv 2301.13188)
    pia    proximal initialisation, two queries (Kong et al. 2023, arXiv 2305.18355)
    sima   minus the norm of the noise that is found in a clean clip, one query (arXiv 2509.21003)

Higher says member. The clip is its posterior's mean; noise comes from the clip's id alone, so equal
clips, adapters and settings give equal scores. A score is of one patient: it stays at the site.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ophora_model.base import Base
from ophora_model.errors import BaseMissing, PlanInvalid
from ophora_model.latents import CachedClip
from ophora_model.objective import denoising_losses, rotary_embedding
from ophora_model.strict import check_choice

Scores = NDArray[np.float64]
ATTACKS = ("loss", "pia", "sima")
_LOSS_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95)  # of the schedule's steps
_PIA_LEVEL = 0.5
_SIMA_LEVEL = 0.5


@torch.no_grad()
def membership_scores(
    base: Base,
    clips: Sequence[CachedClip],
    *,
    attacks: Sequence[str] = ATTACKS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """[len(clips)] for each attack, in the order of the clips; the adapter is left as it is.

    Costs 6, 2 and 1 passes over a clip. Raises `PlanInvalid` on an unknown attack, or where a score
    is not finite, and `BaseMissing` for a base without its denoiser.
    """
    for attack in attacks:
        check_choice("attack", attack, ATTACKS)
    if base.transformer is None:
        raise BaseMissing("base was loaded without part 'transformer': load it with that part")
    found: dict[str, list[float]] = {attack: [] for attack in attacks}
    for number, clip in enumerate(clips, start=1):
        clean_TCHW = (clip.mean_TCHW.float() * clip.scaling).to(base.device)
        prompt_LD = clip.prompt_LD.float().to(base.device)
        for attack in attacks:
            found[attack].append(_SCORES[attack](base, clip.clip_id, clean_TCHW, prompt_LD))
        if progress is not None:
            progress(number, len(clips))
    scores = {attack: np.array(values, np.float64) for attack, values in found.items()}
    for attack, values in scores.items():
        if not np.isfinite(values).all():
            raise PlanInvalid(f"scores of {attack}: not finite; this adapter can't be released")
    return scores


def _loss_score(base: Base, clip_id: str, clean_TCHW: Tensor, prompt_LD: Tensor) -> float:
    digest = hashlib.sha256(f"audit/{clip_id}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    count = len(_LOSS_LEVELS)
    noise = torch.randn((count, *clean_TCHW.shape), generator=generator).to(base.device)
    times = torch.tensor([_step(base, level) for level in _LOSS_LEVELS], device=base.device)
    with base.autocast():
        losses = denoising_losses(
            base.transformer,
            base.scheduler,
            clean_TCHW.expand(count, -1, -1, -1, -1),
            prompt_LD.expand(count, -1, -1),
            noise,
            times,
        )
    return -float(losses.mean())


def _pia_score(base: Base, clip_id: str, clean_TCHW: Tensor, prompt_LD: Tensor) -> float:
    """The noise found in the clean clip, put on it, is found again the better for a member."""
    first = _noise_found(base, clean_TCHW, prompt_LD, 0)
    step = _step(base, _PIA_LEVEL)
    kept, added = _mix(base, step)
    again = _noise_found(base, kept * clean_TCHW + added * first, prompt_LD, step)
    return -float((again - first).abs().pow(4).sum().pow(0.25))


def _sima_score(base: Base, clip_id: str, clean_TCHW: Tensor, prompt_LD: Tensor) -> float:
    step = _step(base, _SIMA_LEVEL)
    kept, _ = _mix(base, step)
    return -float(_noise_found(base, kept * clean_TCHW, prompt_LD, step).norm())


_SCORES: dict[str, Callable[[Base, str, Tensor, Tensor], float]] = {
    "loss": _loss_score,
    "pia": _pia_score,
    "sima": _sima_score,
}


def _noise_found(base: Base, noisy_TCHW: Tensor, prompt_LD: Tensor, step: int) -> Tensor:
    """The model's guess of the noise, [T, C, H, W], from its guess of v."""
    transformer: Any = base.transformer
    with base.autocast():
        velocity = transformer(
            hidden_states=noisy_TCHW[None].to(transformer.dtype),
            encoder_hidden_states=prompt_LD[None].to(transformer.dtype),
            timestep=torch.tensor([step], device=base.device),
            image_rotary_emb=rotary_embedding(transformer, noisy_TCHW[None]),
            return_dict=False,
        )[0][0].float()
    kept, added = _mix(base, step)
    found: Tensor = added * noisy_TCHW + kept * velocity
    return found


def _mix(base: Base, step: int) -> tuple[float, float]:
    """Weights of the clip and of the noise at a step."""
    alpha_bar = float(base.scheduler.alphas_cumprod[step])
    return alpha_bar**0.5, (1 - alpha_bar) ** 0.5


def _step(base: Base, level: float) -> int:
    return int(level * int(base.scheduler.config["num_train_timesteps"]))
