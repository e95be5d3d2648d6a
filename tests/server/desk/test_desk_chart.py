import pytest

from ophora_privacy.page.words import figure
from ophora_server.desk.chart import HEIGHT, WIDTH, bar_chart, line_chart


def test_a_line_runs_from_edge_to_edge_inside_its_axis() -> None:
    made = line_chart("norm", {"norm": {1: 0.0, 2: 3.0, 5: 9.7}}, label=figure)
    assert made is not None
    assert made.lines[0].points.startswith(f"0.0,{HEIGHT:.1f}")
    assert made.lines[0].points.split()[-1].startswith(f"{WIDTH:.1f},")
    assert [tick.label for tick in made.y_ticks] == ["0", "5", "10"]
    assert [tick.label for tick in made.x_ticks] == ["1", "2", "3", "4", "5"]
    assert all(0 <= dot.y <= HEIGHT for dot in made.dots)


@pytest.mark.parametrize(
    "values", [{4: 0.0}, {4: 1e-9}, {1: 2.0, 2: 2.0}, {1: -1.0, 2: 1.0}, {3: -1.0}]
)
def test_one_value_and_equal_ones_are_drawn(values: dict[int, float]) -> None:
    for made in (
        line_chart("x", {"x": values}, label=figure),
        bar_chart("x", {"x": {key: abs(value) for key, value in values.items()}}, label=figure),
    ):
        assert made is not None
        assert all(0 <= each.y <= HEIGHT for each in (*made.dots, *made.bars))


def test_small_changes_of_large_values_are_seen() -> None:
    made = line_chart("loss", {"loss": {1: 0.98, 2: 0.95}}, label=figure)
    assert made is not None
    first, second = (dot.y for dot in made.dots)
    assert second - first > HEIGHT / 2


def test_bars_of_a_round_stand_side_by_side() -> None:
    made = bar_chart("bytes", {"sent": {1: 4, 2: 4}, "received": {1: 2}}, label=figure)
    assert made is not None
    sent, _, received = made.bars
    assert sent.x + sent.width == pytest.approx(received.x)
    assert sent.height == pytest.approx(2 * received.height)


def test_many_rounds_have_few_ticks_and_no_dots() -> None:
    made = line_chart("x", {"x": dict.fromkeys(range(1, 301), 1.0)}, label=figure)
    assert made is not None
    assert len(made.x_ticks) <= 6
    assert made.dots == ()


def test_nothing_is_no_chart() -> None:
    assert line_chart("x", {"x": {}}, label=figure) is None
    assert bar_chart("x", {}, label=figure) is None
