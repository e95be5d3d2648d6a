"""Membership scores: reproducible, one per clip, and nothing but scores."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from ophora_model.adapter import attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.audit.scores import ATTACKS, membership_scores
from ophora_model.base import Base
from ophora_model.errors import BaseMissing, PlanInvalid
from ophora_model.latents import CachedClip

Clips = Callable[[Sequence[str]], list[CachedClip]]


def test_equal_clips_have_equal_scores_in_any_company(tiny_base: Base, cached_clips: Clips) -> None:
    clips = cached_clips(["a", "b", "c"])
    torch.manual_seed(1)
    first = membership_scores(tiny_base, clips)
    torch.manual_seed(2)
    again = membership_scores(tiny_base, clips[::-1])
    assert set(first) == set(ATTACKS)
    for attack in ATTACKS:
        assert first[attack].shape == (3,)
        assert np.array_equal(first[attack], again[attack][::-1])
        assert len(set(first[attack])) == 3


def test_the_noise_is_the_clips_own(tiny_base: Base, cached_clips: Clips) -> None:
    clip = cached_clips(["a"])[0]
    other = replace(clip, clip_id="another name")
    one, two = (membership_scores(tiny_base, [each]) for each in (clip, other))
    assert one["loss"] != two["loss"]
    assert one["pia"] == two["pia"]  # draws no noise
    assert one["sima"] == two["sima"]


def test_scores_move_with_the_adapter_and_leave_it_as_it_is(
    tiny_base: Base, cached_clips: Clips, small_spec: AdapterSpec
) -> None:
    clips = cached_clips(["a"])
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    bare = membership_scores(tiny_base, clips)
    written = {name: np.full_like(value, 0.05) for name, value in adapter.read().items()}
    adapter.write(written)
    tuned = membership_scores(tiny_base, clips)
    assert all(bare[attack] != tuned[attack] for attack in ATTACKS)
    kept = adapter.read()
    assert all(np.array_equal(kept[name], written[name]) for name in written)


def test_what_can_t_be_scored_is_refused(tiny_base: Base, cached_clips: Clips) -> None:
    clips = cached_clips(["a"])
    with pytest.raises(PlanInvalid, match="attack='odd'"):
        membership_scores(tiny_base, clips, attacks=("odd",))
    with pytest.raises(BaseMissing, match="transformer"):
        membership_scores(replace(tiny_base, transformer=None), clips)
    spoilt = replace(clips[0], mean_TCHW=torch.full_like(clips[0].mean_TCHW, float("nan")))
    with pytest.raises(PlanInvalid, match="not finite"):
        membership_scores(tiny_base, [spoilt], attacks=("sima",))


def test_progress_counts_clips(tiny_base: Base, cached_clips: Clips) -> None:
    seen: list[tuple[int, int]] = []
    membership_scores(
        tiny_base,
        cached_clips(["a", "b"]),
        attacks=("sima",),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]
