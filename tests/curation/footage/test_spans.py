"""Spans join what is said with when it is shown."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ophora_curation.footage.observation import Observation
from ophora_curation.footage.spans import plan_spans
from ophora_curation.narration.subtitles import Utterance
from ophora_curation.settings import CurationSettings

SETTINGS = CurationSettings()


def seen(
    times: Sequence[float],
    cuts: Sequence[int] = (),
    blends: Sequence[tuple[int, int]] = (),
) -> Observation:
    times_s = np.array(times)
    zeros = np.zeros(times_s.size, np.float32)
    flags = np.zeros(times_s.size, np.bool_)
    return Observation(
        times_s=times_s, luma=zeros, spread=zeros, sharpness=zeros, motion=zeros,
        repeated=flags, field=zeros, damaged=flags, cuts=tuple(cuts), blends=tuple(blends),
    )  # fmt: skip


def said(*times: tuple[float, float]) -> list[Utterance]:
    return [Utterance(start_s=a, end_s=b, text=str(n)) for n, (a, b) in enumerate(times)]


@given(
    steps=st.lists(st.sampled_from([0.02, 0.04, 0.1, 0.125, 0.3]), min_size=2, max_size=700),
    cuts=st.sets(st.integers(1, 699), max_size=12),
    starts=st.lists(st.floats(0, 110), max_size=20),
)
def test_spans_never_cross_a_cut_and_keep_to_the_limits(
    steps: list[float], cuts: set[int], starts: list[float]
) -> None:
    inside = sorted(cut for cut in cuts if cut < len(steps))
    video = seen(np.cumsum(steps).tolist(), inside)
    narration = said(*((start, start + 2) for start in sorted(starts)))
    spans = plan_spans(video, narration, SETTINGS)
    for span in spans:
        assert not any(span.first < cut <= span.last for cut in inside)
        assert SETTINGS.min_clip_s <= span.end_s - span.start_s + 1e-6
        assert span.end_s - span.start_s <= SETTINGS.max_clip_s + 0.61
        assert span.start_s == video.times_s[span.first]
    for before, after in pairwise(spans):
        assert before.last < after.first


def test_spans_never_touch_a_blend() -> None:
    video = seen(np.arange(200) / 10, blends=[(80, 90)])
    spans = plan_spans(video, [], SETTINGS)
    assert len(spans) > 1
    for span in spans:
        assert span.last < 80 or span.first > 90


def test_a_boundary_moves_to_the_start_of_a_sentence() -> None:
    narration = said((0.0, 6.0), (6.5, 11.0))
    first, second = plan_spans(seen(np.arange(88) / 8), narration, SETTINGS)
    assert second.start_s == 6.5
    assert [line.text for line in first.narration] == ["0"]
    assert [line.text for line in second.narration] == ["1"]


def test_a_sentence_belongs_to_the_span_it_shares_most_with() -> None:
    video = seen(np.arange(96) / 8, cuts=[48])
    first, second = plan_spans(video, said((5.2, 7.6)), SETTINGS)
    assert first.narration == ()
    assert [line.text for line in second.narration] == ["0"]


def test_a_long_sentence_belongs_to_every_span_it_fills() -> None:
    video = seen(np.arange(96) / 8, cuts=[48])
    spans = plan_spans(video, said((0.0, 12.0)), SETTINGS)
    assert [len(span.narration) for span in spans] == [1, 1]


def test_a_short_shot_gives_no_clip() -> None:
    assert plan_spans(seen(np.arange(12) / 8), [], SETTINGS) == []
    assert plan_spans(seen([]), [], SETTINGS) == []
