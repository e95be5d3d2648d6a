import numpy as np
import pytest

from ophora_curation.phantom.errors import InvalidRequest, UnknownPhase
from ophora_curation.phantom.faults import apply_fault
from ophora_curation.phantom.scene import ACTIONS, render_clip
from ophora_curation.phases import PHASE_TITLES, PHASES

SIZE = {"frames": 3, "height": 64, "width": 96, "fps": 2}


def clip(phase, seed=1, **changes):
    return render_clip(phase, np.random.default_rng(seed), **{**SIZE, **changes})


def test_every_phase_has_an_action_and_a_title():
    assert tuple(ACTIONS) == PHASES == tuple(PHASE_TITLES)
    assert len(PHASES) == 12


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_moves_and_is_the_same_for_the_same_seed(phase):
    first, again, other = clip(phase), clip(phase), clip(phase, seed=2)
    assert first.shape == (3, 64, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    moved = np.abs(first[0].astype(int) - first[2]).mean()
    assert moved > 1.5  # more than sensor noise


def test_phases_of_one_patient_differ_more_than_a_phase_from_itself():
    """Colour layout of the middle of the picture: nearest other clip has the same phase."""

    def layout(phase, seed):
        middle = clip(phase, seed).mean(axis=0)[8:56, 20:76]
        return middle.reshape(6, 8, 7, 8, 3).mean(axis=(1, 3)).ravel()

    shelf = [(phase, layout(phase, seed)) for phase in PHASES for seed in range(10, 18)]
    hits = 0
    for phase in PHASES:
        seen = layout(phase, 99)
        hits += min(shelf, key=lambda item: np.abs(item[1] - seen).sum())[0] == phase
    assert hits >= 8  # chance is 1 of 12


@pytest.mark.parametrize("overlay", ["device", "logo", "personal"])
def test_an_overlay_covers_a_visible_part_of_a_tiny_clip(overlay):
    plain, marked = clip("incision"), clip("incision", overlay=overlay)
    changed = (np.abs(plain.astype(int) - marked).max(axis=-1) > 25).mean()
    assert 0.03 < changed < 0.4


def test_an_unknown_phase_or_overlay_is_named():
    with pytest.raises(UnknownPhase, match=r"'vitrectomy'.*incision"):
        clip("vitrectomy")
    with pytest.raises(InvalidRequest, match=r"'poster'.*device"):
        clip("incision", overlay="poster")


def test_faults_do_what_they_say():
    rng = np.random.default_rng(0)
    stacks = {fault: clip("incision") for fault in ("freeze", "blur", "black", "out_of_body")}
    for fault, stack in stacks.items():
        apply_fault(stack, fault, rng)
    sharp = np.abs(np.diff(clip("incision").astype(int), axis=2)).mean()
    assert np.array_equal(stacks["freeze"][0], stacks["freeze"][2])
    assert np.abs(np.diff(stacks["blur"].astype(int), axis=2)).mean() < 0.5 * sharp
    assert stacks["black"].max() < 5
    assert np.abs(stacks["out_of_body"].astype(int) - clip("incision")).mean() > 25
    with pytest.raises(InvalidRequest, match="fault='smoke'"):
        apply_fault(stacks["blur"], "smoke", rng)
