"""The mean that streams, and the one that a few hostile sites can't move."""

import numpy as np
import pytest

from ophora_model.errors import PlanInvalid
from ophora_server.aggregation import (
    AggregationSettings,
    RunningMean,
    TrimmedMean,
    aggregate_of,
    verify_update,
)
from ophora_server.errors import UpdateRejected

SHAPES = {"layer": (2, 3)}
TRIMMED = AggregationSettings(rule="trimmed-mean", trim_share=0.2)


def _of(values: list[float], settings: AggregationSettings) -> np.ndarray:
    aggregate = aggregate_of(settings, SHAPES)
    for value in values:
        update = {"layer": np.full((2, 3), value, np.float32)}
        aggregate.add(verify_update(update, shapes=SHAPES, max_norm=1e6))
    assert aggregate.num_updates == len(values)
    return aggregate.mean().tensors["layer"]


def test_extremes_on_either_side_are_left_out_in_each_coordinate() -> None:
    assert np.allclose(_of([1.0, 2.0, 3.0, 9e4, -9e4], TRIMMED), 2.0)
    assert np.allclose(_of([1.0, 2.0, 3.0, 4.0], AggregationSettings()), 2.5)
    aggregate = TrimmedMean(SHAPES, 0.34)
    rows = np.arange(18, dtype=np.float32).reshape(3, 2, 3)
    rows[0, 0, 0], rows[2, 1, 2] = 100, -100  # each an outlier of one coordinate
    for row in rows:
        aggregate.add(verify_update({"layer": row}, shapes=SHAPES, max_norm=1e6))
    with pytest.raises(UpdateRejected, match="too few for trim_share"):
        aggregate.mean()
    aggregate = TrimmedMean(SHAPES, 0.3)
    for row in rows:
        aggregate.add(verify_update({"layer": row}, shapes=SHAPES, max_norm=1e6))
    assert np.array_equal(aggregate.mean().tensors["layer"], np.median(rows, axis=0))


def test_only_verified_updates_are_taken() -> None:
    for aggregate in (RunningMean(SHAPES), TrimmedMean(SHAPES, 0.2)):
        with pytest.raises(TypeError, match="verify_update"):
            aggregate.add({"layer": np.zeros((2, 3), np.float32)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given", [{"rule": "median"}, {"trim_share": 0.5}, {"trim_share": -0.1}, {"trim": 0.1}]
)
def test_bad_settings_are_refused_by_name(given: dict[str, object]) -> None:
    with pytest.raises(PlanInvalid, match=r"aggregation\.(rule|trim)"):
        AggregationSettings.from_dict(given)
