"""The judge learns what it is shown and says so per video."""

import numpy as np

from ophora_model.judge import LabelledClip, train_judge


def _clip(rng, phase: int, overlay: bool) -> LabelledClip:
    frames = rng.integers(0, 40, (9, 64, 96, 3)).astype(np.uint8)
    frames[:, 16:48, 24:72, phase] += 160
    if overlay:
        frames[:, :10, :40] = 255
    return LabelledClip(frames=frames, phase=phase, overlay=overlay)


def test_it_tells_phases_and_overlays_apart_on_clips_it_has_not_seen():
    rng = np.random.default_rng(0)
    clips = [_clip(rng, k % 3, k % 2 == 0) for k in range(60)]
    judge = train_judge(clips, 3, epochs=6, seed=1)
    unseen = [_clip(rng, k % 3, k % 2 == 0) for k in range(24)]
    verdict = judge.judge([clip.frames for clip in unseen])
    assert np.mean(verdict.phases == [clip.phase for clip in unseen]) > 0.9
    assert np.mean((verdict.overlays > 0.5) == [clip.overlay for clip in unseen]) > 0.9
