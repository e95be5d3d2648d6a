from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ophora_curation.footage.spans import SpanRule, plan_spans
from ophora_curation.narration.subtitles import Utterance

RULE = SpanRule(min_s=2.0, target_s=5.5, max_s=10.0)


@given(
    num_frames=st.integers(2, 900),
    cuts=st.sets(st.integers(1, 899), max_size=12),
    starts=st.lists(st.floats(0, 110), max_size=20),
)
def test_spans_never_cross_a_cut_and_keep_to_the_rule(
    num_frames: int, cuts: set[int], starts: list[float]
) -> None:
    times = [index / 8 for index in range(num_frames)]
    inside = sorted(cut for cut in cuts if cut < num_frames)
    narration = [Utterance(start_s=s, end_s=s + 2, text="x") for s in sorted(starts)]
    spans = plan_spans(times, inside, narration, RULE)
    for span in spans:
        assert not any(span.first < cut <= span.last for cut in inside)
        assert RULE.min_s <= span.end_s - span.start_s + 1e-6
        assert span.end_s - span.start_s <= RULE.max_s + 0.25
    for before, after in pairwise(spans):
        assert before.last < after.first


def test_a_boundary_moves_to_the_start_of_a_sentence() -> None:
    times = [index / 8 for index in range(88)]
    narration = [
        Utterance(start_s=0.0, end_s=6.0, text="x"),
        Utterance(start_s=6.5, end_s=11.0, text="y"),
    ]
    first, second = plan_spans(times, [], narration, RULE)
    assert second.start_s == 6.5
    assert [line.text for line in first.narration] == ["x"]
    assert [line.text for line in second.narration] == ["y"]


def test_a_short_shot_gives_no_clip() -> None:
    assert plan_spans([index / 8 for index in range(12)], [], [], RULE) == []
