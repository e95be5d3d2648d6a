import pytest

from ophora_curation.text.numbers import NUMBER_WORDS
from ophora_curation.text.vocabulary import allowed_words, heard_as, is_allowed

PERSONAL_WORDS = (
    "monday april may hospital clinic university institute husband mother widow teacher farmer"
    " engineer american german indian chinese jewish muslim female male carpenter retired london"
)


def test_the_vocabulary_is_large_and_lower_case() -> None:
    words = allowed_words()
    assert len(words) > 3000
    assert all(word == word.lower() and word.isascii() for word in words)


def test_no_personal_word_is_in_the_vocabulary() -> None:
    assert not set(PERSONAL_WORDS.split()) & allowed_words()


def test_number_words_stay_only_where_they_measure() -> None:
    assert NUMBER_WORDS & allowed_words() <= {"one", "two", "three", "four", "five"}


@pytest.mark.parametrize(
    ("said", "word", "stays"),
    [
        ("the ahmed valve", "ahmed", True),
        ("the ahmed family", "ahmed", False),
        ("use the sinskey and turn", "sinskey", True),
        ("for sinskey we turn", "sinskey", False),
        ("a white cataract", "white", True),
        ("patient white looks", "white", False),
        ("we may need a suture", "may", True),
        ("the seventh of may", "may", False),
        ("on may we operated", "may", False),
    ],
)
def test_a_surname_a_colour_and_may_depend_on_the_place(said: str, word: str, stays: bool) -> None:
    words = said.split()
    assert is_allowed(words, words.index(word)) is stays


def test_a_misheard_term_is_put_right() -> None:
    assert heard_as("capsulorexis") in ("capsulorhexis", "capsulorrhexis")
    assert heard_as("smith") is None
