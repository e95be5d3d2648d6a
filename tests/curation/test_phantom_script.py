from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ophora_curation.phantom.errors import InvalidRequest
from ophora_curation.phantom.identity import invent_person
from ophora_curation.phantom.narration import to_srt
from ophora_curation.phantom.phrases import INSTRUCTIONS
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.phantom.script import write_script
from ophora_curation.phases import PHASES


def request(**changes):
    return PhantomRequest(**{"out": Path("out"), "patients": 1, "seed": 1, **changes})


def scripts(count, **changes):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        person = invent_person(rng)
        yield person, write_script(rng, request(**changes), person)


def test_at_least_ten_phrasings_a_phase_and_none_shared():
    assert tuple(INSTRUCTIONS) == PHASES
    texts = [text for phase in PHASES for text in INSTRUCTIONS[phase]]
    assert min(len(set(INSTRUCTIONS[phase])) for phase in PHASES) >= 10
    assert len(texts) == len(set(texts))


def test_no_planted_name_is_a_term_of_an_instruction():
    words = {
        word.strip(",.") for texts in INSTRUCTIONS.values() for t in texts for word in t.split()
    }
    for person, _ in scripts(60):
        assert not words & {person.first, person.last, person.doctor, person.city}


def test_segments_are_5_to_8_s_and_sentences_follow_each_other():
    for _, script in scripts(30):
        assert 5 <= len(script.segments) <= 12
        assert all(40 <= segment.frames <= 64 for segment in script.segments)
        ends = [0.0, *(item.end_s for item in script.narration)]
        starts = [item.start_s for item in script.narration]
        assert all(start >= end for start, end in zip(starts, ends, strict=False))
        assert ends[-1] < script.frames / 8 + 1.0


def test_instructions_are_said_over_their_segment():
    early = []
    for _, script in scripts(30, fault_share=0.0):
        spans = [(s.phase, s.first / 8, (s.first + s.frames) / 8) for s in script.segments]
        for item in script.narration:
            if item.sentence.kind == "instruction":
                middle = (item.start_s + item.end_s) / 2
                early.append(any(p == item.sentence.phase and a <= middle < b for p, a, b in spans))
    assert np.mean(early) > 0.98


def test_everything_personal_in_a_sentence_is_declared():
    kinds = Counter()
    for person, script in scripts(60):
        for item in script.narration:
            said = item.sentence
            kinds[said.kind] += 1
            assert all(secret in said.text for secret in said.personal)
            for secret in (person.last, person.mrn, person.hospital, person.phone, person.doctor):
                assert (secret in said.text) == any(secret in part for part in said.personal)
    assert set(kinds) == {"instruction", "digression", "greeting", "personal"}


def test_weights_set_the_mix():
    weights = {"incision": 3.0, "lens_implantation": 1.0}
    seen = Counter(
        segment.phase
        for _, s in scripts(40, weights=weights, fault_share=0)
        for segment in s.segments
    )
    assert set(seen) == set(weights)
    assert 2.4 < seen["incision"] / seen["lens_implantation"] < 3.6


def test_shares_set_overlays_and_faults():
    changes = {"overlay_share": 0.3, "personal_overlay_share": 0.1, "fault_share": 0.2}
    segments = [segment for _, s in scripts(80, **changes) for segment in s.segments]
    share = Counter(segment.overlay for segment in segments)
    assert share["device"] + share["logo"] == pytest.approx(0.3 * len(segments), rel=0.25)
    assert share["personal"] == pytest.approx(0.1 * len(segments), rel=0.4)
    assert sum(bool(s.faults) for s in segments) == pytest.approx(0.2 * len(segments), rel=0.3)


def test_subtitles_are_subrip():
    _, script = next(scripts(1))
    lines = to_srt(script.narration).splitlines()
    assert lines[0] == "1"
    assert lines[1].count(" --> ") == 1
    assert lines[1].startswith("00:00:0")
    assert lines[2] == script.narration[0].sentence.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patients": 0}, "patients=0: must be from 1"),
        ({"size": (191, 128)}, "size=191x128: must be even"),
        ({"overlay_share": 1.5}, "overlay_share=1.5: must be from 0 to 1"),
        ({"overlay_share": 0.7, "personal_overlay_share": 0.5}, "at most 1"),
        ({"voice": False}, "speech_share=0.2 with voice=False"),
        ({"phases": ("incision", "lasik")}, "phase='lasik': must be one of"),
        ({"weights": {"incision": float("nan")}}, r"weights\[incision\]=nan"),
        ({"phases": ("incision",), "weights": {"viscoelastic": 1.0}}, "needs a weight > 0"),
    ],
)
def test_a_setting_out_of_range_is_named(changes, message):
    with pytest.raises(InvalidRequest, match=message):
        request(**changes)
