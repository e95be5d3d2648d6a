"""Branch reuse: which calls compute both branches, and what the others put in their place."""

import pytest
import torch

from ophora_model.branch_reuse import reusing_branch

TIMES = [900, 700, 500, 300, 200, 100]


class Denoiser:
    """Gives the mean of the prompt times the time; notes how many rows it was given."""

    def __init__(self):
        self.rows = []

    def forward(self, *, hidden_states, encoder_hidden_states, timestep, return_dict):
        assert len(hidden_states) == len(encoder_hidden_states) == len(timestep)
        self.rows.append(len(hidden_states))
        return (hidden_states * encoder_hidden_states.mean() + timestep[:, None],)


def run(denoiser, **settings):
    now = iter(TIMES)
    made = []
    current = [0]
    with reusing_branch(denoiser, decay=0.5, timestep=lambda: current[0], **settings):
        for time in now:
            current[0] = time
            (both,) = denoiser.forward(
                hidden_states=torch.tensor([[1.0], [3.0]]),
                encoder_hidden_states=torch.ones(2, 1),
                timestep=torch.tensor([time, time]),
                return_dict=False,
            )
            made.append(both)
    return made


@pytest.mark.parametrize(
    ("every", "below", "rows"),
    [
        (2, 1000, [2, 1, 2, 1, 2, 1]),
        (3, 1000, [2, 1, 1, 2, 1, 1]),
        (2, 400, [2, 2, 2, 1, 2, 1]),
        (5, 300, [2, 2, 2, 2, 1, 2]),
        (2, 1, [2, 2, 2, 2, 2, 2]),
    ],
)
def test_both_branches_are_computed_every_so_many_calls_and_above_a_timestep(every, below, rows):
    denoiser = Denoiser()
    made = run(denoiser, every=every, below=below)
    assert denoiser.rows == rows
    assert all(len(both) == 2 for both in made)


def test_a_branch_not_computed_is_the_other_plus_a_difference_that_decays():
    made = run(Denoiser(), every=3, below=1000)
    differences = [float(both[0] - both[1]) for both in made]
    assert differences == [-2, -1, -0.5, -2, -1, -0.5]
    assert [float(both[1]) for both in made] == [3 + time for time in TIMES]


def test_the_denoiser_is_its_own_again_also_after_an_error():
    denoiser = Denoiser()
    run(denoiser, every=2, below=1000)
    assert "forward" not in vars(denoiser)
    with (
        pytest.raises(KeyboardInterrupt),
        reusing_branch(denoiser, every=2, below=9, decay=1.0, timestep=lambda: 0),
    ):
        raise KeyboardInterrupt
    assert "forward" not in vars(denoiser)
