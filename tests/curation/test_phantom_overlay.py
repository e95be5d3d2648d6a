import numpy as np
import pytest

from ophora_curation.phantom.identity import grow_old, invent_person
from ophora_curation.phantom.overlay import draw_overlay
from ophora_curation.phantom.panel import Panel
from ophora_curation.phantom.patient_overlay import COLOURS, draw_patient
from ophora_curation.phantom.planted import find_planted


def grey(frames=8):
    return np.full((frames, 240, 360, 3), 90, dtype=np.uint8)


def changed(before, after):
    return np.abs(before.astype(int) - after).max(axis=-1) > 12


def test_boxes_of_lines_hold_all_ink():
    panel = Panel(240, 360)
    panel.write("MRN 123456", (0.1, 0.3), 0.04, (255, 255, 255))
    panel.write("gypsy", (0.5, 0.8), 0.04, (255, 236, 60))
    frame = grey(1)[0]
    panel.finish().lay(frame)
    ink = changed(grey(1)[0], frame)
    for left, top, right, bottom in panel.boxes:
        assert ink[top:bottom, left:right].any()
        ink[top:bottom, left:right] = False
    assert len(panel.boxes) == 2
    assert not ink.any()


@pytest.mark.parametrize("kind", ["device", "logo", "personal"])
def test_an_overlay_says_where_each_line_is(kind):
    stack = grey()
    drawn = draw_overlay(stack, kind, np.random.default_rng(3))
    assert drawn.text
    assert drawn.frames == (0, 8)
    for left, top, right, bottom in drawn.boxes:
        part = stack[0, top:bottom, left:right].astype(int)
        assert part.size
        assert np.ptp(part.max(axis=-1)) > 60  # letters against their ground


def test_a_patients_overlay_varies_and_is_declared():
    rng = np.random.default_rng(4)
    places, lasting, heights = set(), set(), set()
    for _ in range(40):
        stack = grey(16)
        person = grow_old(invent_person(rng), rng)
        drawn = draw_patient(stack, rng, person, fps=8)
        seen = changed(grey(16), stack).any(axis=(1, 2))
        assert seen[slice(*drawn.frames)].all()
        assert seen.sum() == drawn.frames[1] - drawn.frames[0]
        assert len(drawn.boxes) == len(drawn.text.splitlines())
        for left, top, right, bottom in drawn.boxes:
            assert 0 <= left < right <= 360
            assert 0 <= top < bottom <= 240
        places.add((drawn.boxes[0][0] < 180, drawn.boxes[0][1] < 120))
        lasting.add(drawn.frames == (0, 16))
        heights.update(bottom - top for _, top, _, bottom in drawn.boxes)
    assert places == {(left, top) for left in (True, False) for top in (True, False)}
    assert lasting == {True, False}
    assert max(heights) <= 15  # 20 px at 480 rows are 10 at 240, with descenders
    assert len(COLOURS) == 3


def test_an_old_patient_is_90_or_more_with_a_valid_birthday():
    rng = np.random.default_rng(5)
    for _ in range(50):
        person = grow_old(invent_person(rng), rng)
        assert 90 <= int(person.facts()["age"]) <= 104


def test_what_is_planted_is_found_by_kind_and_channel():
    rng = np.random.default_rng(6)
    person = grow_old(invent_person(rng), rng)
    age = person.facts()["age"]
    channels = {"speech": f"{person.title} {person.last} is {age} years old", "tags": person.phone}
    found = find_planted((person,), channels)
    assert found["name"] == {"speech": [person.last], "tags": []}
    assert found["age_over_89"]["speech"] == [f"{age} years"]
    assert found["phone"] == {"speech": [], "tags": [person.phone]}
