"""Orders are checked field by field, and errors name the field, the value and what is allowed."""

import pytest

from ophora_server.errors import InvalidRequest
from ophora_server.generator.order import MAX_PROMPT_CHARS, Offer, read_order

OFFER = Offer(
    model="ophora-tiny",
    size="96x64",
    seconds="4",
    fps=2.0,
    frames=9,
    default_steps=16,
    default_guidance=3.0,
)


def test_what_an_order_leaves_open_is_filled_in_and_recorded() -> None:
    order = read_order({"prompt": "  an incision \n"}, OFFER)
    assert (order.prompt, order.model, order.size) == ("an incision", "ophora-tiny", "96x64")
    assert (order.seconds, order.steps, order.guidance) == ("4", 16, 3.0)
    assert order.seed != read_order({"prompt": "an incision"}, OFFER).seed


def test_form_texts_and_json_numbers_mean_the_same() -> None:
    texts = {"prompt": "a", "seed": "7", "steps": "3", "guidance": "2.5", "seconds": "4"}
    numbers = {"prompt": "a", "seed": 7, "steps": 3, "guidance": 2.5, "seconds": 4}
    assert read_order(texts, OFFER) == read_order(numbers, OFFER)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("prompt", " \n", "not empty"),
        ("prompt", None, "not empty"),
        ("prompt", "x" * (MAX_PROMPT_CHARS + 1), "at most 2000"),
        ("prompt", "a\x00b", "control"),
        ("model", "sora-2", "'sora-2': not offered; allowed: ophora-tiny"),
        ("size", "1280x720", "'1280x720': not offered; allowed: 96x64"),
        ("seconds", "8", "'8': not offered; allowed: 4"),
        ("seed", -1, "from 0"),
        ("seed", "9" * 5000, "from 0"),
        ("seed", True, "from 0"),
        ("steps", "0", "from 1 to 200"),
        ("steps", 2.5, "from 1 to 200"),
        ("guidance", "nan", "from 1 to 20"),
        ("guidance", float("inf"), "from 1 to 20"),
        ("input_reference", "x", "unknown; allowed: prompt"),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_what_is_allowed(
    field: str, value: object, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_order({"prompt": "an incision", field: value}, OFFER)
    assert caught.value.param == field
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


def test_an_error_never_quotes_the_prompt() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_order({"prompt": "Miller " * 400}, OFFER)
    assert "Miller" not in str(caught.value)
