from ophora_server.desk import words


def test_what_is_not_known_is_said_in_words() -> None:
    assert words.budget(2.5, 1e-5, 1.0) == "\u03b5\u00a02.5, \u03b4\u00a01e\u201105"
    assert words.budget(2.5, None, 1.0) == "\u03b5 2.5, \u03b4 not stated"
    assert words.budget(None, None, 1.0) == "states no bound"
    assert words.budget(None, None, None) == "not heard from yet"
