import pytest

from ophora_curation.text.numbers import find_numbers


def uses(sentence: str, *, of_somebody: bool = False) -> list[str]:
    return [number.use for number in find_numbers(sentence, of_somebody=of_somebody)]


@pytest.mark.parametrize(
    "said",
    [
        "a 2.4 mm wound", "vacuum set at 350", "a ten-oh nylon", "close with 6-0", "two and a half",
        "twenty one point five", "he sees 20/40", "adrenaline 1:1000", "a 27G cannula",
        "for two weeks", "the first twenty four hours", "one in two thousand", "all three sixty",
        "a number eleven blade", "in 99% of eyes", "over 1,000 cells", "SF6 at twenty percent",
    ],
)  # fmt: skip
def test_a_measure_says_nothing_of_a_person(said: str) -> None:
    assert set(uses(said)) == {"measure"}


@pytest.mark.parametrize(
    "said",
    [
        "now ninety two", "a hundred and four", "in 1957", "twenty twenty five",
        "four four one seven", "room 12", "six weeks old", "since sixty two", "48213377",
        "the fourteenth", "102", "four point three point fifty seven", "ten years",
        "nineteen fifty",
    ],
)  # fmt: skip
def test_what_may_be_an_age_a_date_or_a_record_is_bare(said: str) -> None:
    assert "bare" in uses(said)


def test_a_plain_number_is_bare_where_a_person_is_spoken_of() -> None:
    assert uses("bring it down to forty") == ["plain"]
    assert uses("bring it down to forty", of_somebody=True) == ["bare"]


def test_many_plain_numbers_may_be_a_record_read_out() -> None:
    assert set(uses("twenty two of thirty four by fifty six, then seventy")) == {"bare"}


def test_places_are_characters_of_the_sentence() -> None:
    said = "a 2.4 mm wound at ten o'clock"
    assert [said[item.start : item.end] for item in find_numbers(said)] == ["2.4", "ten"]
