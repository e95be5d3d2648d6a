import pytest

from ophora_curation.text.deidentify import SafeText
from ophora_curation.text.instruction import phase_confidence, write_instruction


def _said(*clauses: str, withheld: int = 0) -> SafeText:
    return SafeText(clauses, (("cue", withheld),) if withheld else ())


def _confidence(*clauses: str, withheld: int = 0) -> float:
    made = write_instruction([_said(*clauses, withheld=withheld)])
    assert made is not None
    return made.confidence


def test_one_clear_phase_is_certain() -> None:
    made = write_instruction([_said("now we flush the anterior chamber with saline")])
    assert made is not None
    assert (made.phase, made.confidence) == ("anterior_chamber_flushing", 1.0)
    assert made.written_by == "rules"
    assert made.text == "Anterior chamber flushing: flush the anterior chamber with saline."


def test_words_of_a_second_phase_lower_the_confidence() -> None:
    alone = _confidence("we flush the chamber")
    assert 0 < _confidence("we flush the chamber", "the keratome is near") < alone


def test_withheld_clauses_lower_the_confidence() -> None:
    assert _confidence("we flush the chamber", withheld=1) == pytest.approx(
        _confidence("we flush the chamber") / 2
    )


def test_without_a_leading_phase_there_is_no_confidence() -> None:
    made = write_instruction([_said("the cornea is clear")])
    assert made is not None
    assert (made.phase, made.confidence) == (None, 0.0)
    assert made.text.startswith("Cataract surgery: ")


def test_a_phase_that_nothing_speaks_for_has_no_confidence() -> None:
    texts = [_said("we flush the chamber", "the keratome is near")]
    assert phase_confidence(texts, "capsule_polishing") == 0.0
    assert phase_confidence(texts, "incision") == 0.0
    assert phase_confidence([_said()], "incision") == 0.0


@pytest.mark.parametrize("clauses", [(), ("thank you very much",)])
def test_nothing_of_surgery_is_no_instruction(clauses: tuple[str, ...]) -> None:
    assert write_instruction([_said(*clauses)]) is None
