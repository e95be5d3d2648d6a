"""Names, shapes and types are as announced, or the update stays at the site."""

import numpy as np
import pytest

from ophora_privacy.errors import InputRefused, InvalidPlan
from ophora_privacy.secure_sum.layout import Layout

VALUES = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2, np.float32)}


def test_flattens_in_order_of_names_and_back() -> None:
    layout = Layout.of(VALUES)
    flat = layout.flatten(VALUES)
    assert flat.tolist() == [1, 1, 0, 1, 2, 3, 4, 5]
    back = layout.unflatten(flat)
    assert all(np.array_equal(back[name], VALUES[name]) for name in VALUES)
    assert layout.size == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": VALUES["a"]},
        {**VALUES, "c": VALUES["a"]},
        {"a": VALUES["a"], "c": VALUES["b"]},
        {**VALUES, "a": np.ones(3, np.float32)},
        {**VALUES, "b": VALUES["b"].T},
        {**VALUES, "a": np.ones(2, np.float64)},
        {**VALUES, "a": np.array([1, np.nan], np.float32)},
        {**VALUES, "a": np.array([1, np.inf], np.float32)},
    ],
)
def test_anything_but_the_announced_tensors_is_refused(wrong: dict) -> None:
    with pytest.raises(InputRefused):
        Layout.of(VALUES).flatten(wrong)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(InputRefused):
        Layout.of(VALUES).unflatten(np.zeros(7, np.float32))


@pytest.mark.parametrize(
    "tensors",
    [(), (("b", (1,)), ("a", (1,))), (("a", (0,)),), (("a", (2**31,)),), (("a", (1.0,)),)],
)
def test_a_bad_layout_is_refused(tensors: tuple) -> None:
    with pytest.raises(InvalidPlan):
        Layout(tensors=tensors)
