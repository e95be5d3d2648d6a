import pytest

from ophora_curation.run.progress import WorkLeft


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def expecting(clock: Clock, *sizes: int) -> WorkLeft:
    left = WorkLeft(now=clock)
    for size in sizes:
        left.expect(size)
    return left


def test_nothing_is_promised_before_a_video_has_finished(clock: Clock) -> None:
    left = expecting(clock, 100, 100)
    assert left.left_s is None
    left.begin("a", 100)
    clock.now_s += 60
    left.look("a", 30.0)
    assert left.left_s is None


def test_time_left_goes_by_bytes(clock: Clock) -> None:
    left = expecting(clock, 100, 300)
    left.begin("a", 100)
    left.begin("b", 300)
    clock.now_s += 20
    left.finish("a")
    assert left.left_s == pytest.approx(60.0)
    left.look("b", 5.0)  # a part of its work is done
    assert left.left_s is not None
    assert 0 < left.left_s < 60.0
    left.finish("b")
    assert left.left_s == 0.0


def test_what_an_earlier_run_did_is_no_work(clock: Clock) -> None:
    left = expecting(clock, 1000, 100, 100)
    left.skip(1000)
    left.begin("a", 100)
    clock.now_s += 10
    left.finish("a")
    assert left.left_s == pytest.approx(10.0)


def test_a_run_of_moments_promises_nothing_yet(clock: Clock) -> None:
    left = expecting(clock, 1, 1_000_000)
    left.begin("a", 1)
    clock.now_s += 0.1
    left.finish("a")
    assert left.left_s is None


def test_footage_is_estimated_from_what_was_watched(clock: Clock) -> None:
    left = expecting(clock, 100, 300)
    assert left.footage_total_s is None
    left.begin("a", 100)
    left.look("a", 60.0)
    assert left.footage_total_s == pytest.approx(240.0)
    assert left.finish("a") == 60.0
    assert left.footage_total_s == pytest.approx(240.0)


def test_empty_files_divide_nothing(clock: Clock) -> None:
    left = expecting(clock, 0, 0)
    left.begin("a", 0)
    left.look("a", 0.0)
    clock.now_s += 10
    left.finish("a")
    assert left.left_s is None
    assert left.footage_total_s is None
