import pytest

from ophora_client.report.plot import HEIGHT, WIDTH, histogram


def test_every_value_is_in_a_bar() -> None:
    made = histogram(
        "Length", "s", {"accepted": [1.0, 5.0, 5.0, 9.9], "held": [5.0]}, thresholds={"most": 10.0}
    )
    assert made.num_values == 5
    assert made.top == 3  # two accepted and one held in the same bin
    assert sum(bar.height for bar in made.bars) == pytest.approx(HEIGHT * 5 / 3)
    assert all(0 <= bar.x <= WIDTH and -1e-9 <= bar.y <= HEIGHT for bar in made.bars)


def test_stacked_bars_do_not_cover_each_other() -> None:
    made = histogram("x", "", {"accepted": [5.0, 5.0], "held": [5.0]}, thresholds={})
    low, high = sorted(made.bars, key=lambda bar: -bar.y)
    assert low.y == pytest.approx(high.y + high.height)


def test_a_threshold_outside_the_values_is_on_the_axis() -> None:
    made = histogram("x", "", {"accepted": [1.0]}, thresholds={"at most": 60.0})
    assert made.thresholds[0].label == "at most 60"
    assert 0.9 * WIDTH < made.thresholds[0].x < WIDTH


def test_a_logarithmic_axis_keeps_small_and_large_apart() -> None:
    made = histogram("x", "", {"a": [0.0, 0.4, 60.0]}, thresholds={}, log_from=0.1)
    assert [tick.label for tick in made.ticks] == ["0.1", "1", "10"]
    places = sorted(bar.x for bar in made.bars)
    assert places[0] < 1
    assert places[1] > 0.1 * WIDTH
    assert places[2] > 0.9 * WIDTH


def test_ticks_are_round_numbers() -> None:
    made = histogram("x", "", {"a": [9.7]}, thresholds={})
    assert [tick.label for tick in made.ticks] == ["0", "2", "4", "6", "8"]


@pytest.mark.parametrize("values", [[], [0.0], [0.0, 0.0]])
def test_nothing_to_show_is_no_error(values: list[float]) -> None:
    made = histogram("x", "", {"accepted": values}, thresholds={})
    assert made.top == len(values)
    assert made.ticks[0].label == "0"
