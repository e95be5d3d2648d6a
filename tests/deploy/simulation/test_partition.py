"""Who films what: the same for the same seed, all phases among them, unequal where asked."""

import numpy as np
import pytest

from ophora_curation.phases import PHASES
from ophora_deploy.errors import SimulationRefused
from ophora_deploy.simulation.partition import share_of
from ophora_deploy.simulation.plan import PARTITIONS, SimulationPlan


def weights_of(plan: SimulationPlan) -> np.ndarray:
    return np.array([share_of(plan, number).phase_weights for number in range(plan.sites)])


@pytest.mark.parametrize("partition", PARTITIONS)
def test_a_site_has_the_same_share_whichever_were_asked_before(partition: str) -> None:
    plan = SimulationPlan(sites=30, partition=partition, seed=5)
    forwards = [share_of(plan, number) for number in range(30)]
    backwards = [share_of(plan, number) for number in reversed(range(30))]
    assert forwards == backwards[::-1]
    other = SimulationPlan(sites=30, partition=partition, seed=6)
    assert forwards != [share_of(other, number) for number in range(30)]
    assert len({share.clips_seed for share in forwards}) == 30


@pytest.mark.parametrize("partition", PARTITIONS)
def test_all_phases_are_filmed_and_every_site_has_patients(partition: str) -> None:
    plan = SimulationPlan(sites=40, partition=partition, alpha=0.1)
    weights = weights_of(plan)
    assert weights.shape == (40, len(PHASES))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights.mean(axis=0) > 0.25 / len(PHASES)).all()
    assert all(share_of(plan, number).patients >= 1 for number in range(40))


def test_by_phase_sites_differ_the_more_the_smaller_alpha_is() -> None:
    largest = {
        alpha: weights_of(SimulationPlan(sites=200, partition="by-phase", alpha=alpha))
        .max(axis=1)
        .mean()
        for alpha in (0.1, 1.0, 100.0)
    }
    assert largest[0.1] > 0.5 > largest[1.0] > 2 / len(PHASES) > largest[100.0]
    even = weights_of(SimulationPlan(sites=20, alpha=0.1))
    np.testing.assert_allclose(even, 1 / len(PHASES))


def test_by_size_shares_out_about_all_patients_unequally() -> None:
    plan = SimulationPlan(sites=100, partition="by-size", alpha=0.5, patients=10)
    patients = [share_of(plan, number).patients for number in range(100)]
    assert 0.9 * 1000 < sum(patients) < 1.2 * 1000
    assert max(patients) > 30
    assert min(patients) == 1
    others = [share_of(SimulationPlan(sites=100, patients=10), n).patients for n in range(100)]
    assert set(others) == {10}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"sites": 0}, "sites=0: must be 1 to 10000"),
        ({"partition": "by-moon"}, 'partition="by-moon": must be one of iid, by-phase, by-size'),
        ({"alpha": 0.0}, "alpha=0.0: must be 0.01 to 1000"),
        ({"alpha": float("nan")}, "alpha=nan"),
        ({"patients": 0}, "patients=0"),
        ({"clips_each": 0}, "clips_each=0"),
        ({"seed": -1}, "seed=-1"),
        ({"overlay_share": float("nan")}, "overlay_share=nan"),
    ],
)
def test_what_is_out_of_range_is_named(given: dict[str, object], word: str) -> None:
    with pytest.raises(SimulationRefused, match=word):
        SimulationPlan(**{"sites": 3, **given})  # type: ignore[arg-type]
