import re
import socket
from pathlib import Path

import pytest

from ophora_curation.phantom.phrases import DIGRESSIONS, GREETINGS, INSTRUCTIONS, PERSONAL
from ophora_curation.text.deidentify import KINDS, TextDeidentifier
from ophora_curation.text.instruction import write_instruction
from ophora_curation.text.vocabulary import allowed_words

SURNAMES = ("Ahmed", "Weiss", "Fuchs", "Sinskey", "Smith", "Lester", "Kowalski", "Okafor")


@pytest.fixture(scope="module")
def cleaner() -> TextDeidentifier:
    return TextDeidentifier()


def kept(cleaner: TextDeidentifier, text: str) -> str:
    return " | ".join(cleaner.clean(text).clauses)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Grasp the flap with the Utrata forceps.", "grasp the flap with the utrata forceps"),
        ("Protect Descemet's membrane.", "protect descemet's membrane"),
        ("The incision is 2.4 mm wide.", "the incision is 2.4 mm wide"),
        ("We polish the capsule, Johnson watches.", "we polish the capsule"),
        ("The patient Mary Poe, date of birth March 4 1957, phaco of the nucleus.", ""),
        ("This is Mr. Ahmed, we cut the cornea.", ""),
        ("record number four four one, we cut the cornea.", ""),
        ("the aspiration port 48213377 faces up", ""),
        ("Dr. Weiss now polishes the capsule.", ""),
    ],
)
def test_what_may_stay(cleaner: TextDeidentifier, said: str, left: str) -> None:
    assert kept(cleaner, said) == left


@pytest.mark.parametrize("surname", SURNAMES)
@pytest.mark.parametrize(
    "frame",
    [
        "{} is doing well so we polish the capsule now",
        "now for {} we open the anterior capsule with the forceps",
        "as professor {} taught us polish the posterior capsule",
        "the nucleus of mister {} is dense and we chop it",
    ],
)
@pytest.mark.parametrize("lower", [False, True])
def test_a_surname_never_stays(
    cleaner: TextDeidentifier, surname: str, frame: str, lower: bool
) -> None:
    said = frame.format(surname)
    left = kept(cleaner, said.lower() if lower else said)
    assert surname.lower() not in left.lower()


def test_personal_remarks_give_no_instruction(cleaner: TextDeidentifier) -> None:
    facts = dict.fromkeys(re.findall(r"\{(\w+)\}", " ".join(PERSONAL)), "Velour")
    facts |= {"title": "Mrs.", "mrn": "774411", "birth": "04.03.1957"}
    for remark in PERSONAL:
        assert kept(cleaner, remark.format(**facts)).lower().count("velour") == 0


@pytest.mark.parametrize("said", [*DIGRESSIONS, *GREETINGS])
def test_what_is_not_about_the_picture_gives_none(cleaner: TextDeidentifier, said: str) -> None:
    assert write_instruction([cleaner.clean(said)]) is None


def test_phases_are_recognised_from_safe_wording(cleaner: TextDeidentifier) -> None:
    pairs = [(phase, text) for phase, texts in INSTRUCTIONS.items() for text in texts]
    written = [(phase, write_instruction([cleaner.clean(text)])) for phase, text in pairs]
    right = sum(made is not None and made.phase == phase for phase, made in written)
    assert right >= 0.95 * len(pairs)
    assert len({made.text for _, made in written if made}) > 0.9 * len(pairs)


def test_the_vocabulary_holds_no_common_name() -> None:
    names = "smith jones mary john may june rose grant young king anna peter white black brown"
    assert not set(names.split()) & allowed_words()


def test_what_is_withheld_is_explained(cleaner: TextDeidentifier) -> None:
    said = "Dr. Weiss is here. We polish the capsule, Johnson watches."
    removals = cleaner.explain(said)
    parts = [(said[item.start : item.end], item.guard) for item in removals]
    assert parts == [("Dr. Weiss is here.", "cue"), ("Johnson watches.", "entity")]


def test_an_unknown_word_of_a_kept_clause_is_explained(cleaner: TextDeidentifier) -> None:
    said = "  so we polish the posterior capsule with the zorblatt and leave the anterior capsule"
    (removal,) = cleaner.explain(said)
    assert (said[removal.start : removal.end], removal.kind) == ("zorblatt", "unknown-word")
    assert "zorblatt" not in kept(cleaner, said)


def test_filler_is_no_privacy_removal(cleaner: TextDeidentifier) -> None:
    assert cleaner.explain("so. and now, we polish the capsule") == ()


def lines(name: str) -> list[str]:
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def leaks(cleaner: TextDeidentifier, said: str, words: str) -> set[str]:
    return set(words.split()) & set(kept(cleaner, said).lower().replace("|", " ").split())


@pytest.mark.parametrize("lower", [False, True])
def test_surgeons_language_without_a_person_stays(cleaner: TextDeidentifier, lower: bool) -> None:
    said = [line.lower() if lower else line for line in lines("surgical_sentences.txt")]
    removals = [removal for line in said for removal in cleaner.explain(line)]
    assert len(removals) <= 0.02 * len(said)


@pytest.mark.parametrize("lower", [False, True])
def test_what_names_a_person_goes(cleaner: TextDeidentifier, lower: bool) -> None:
    for line in lines("personal_sentences.txt"):
        _, said, words = (part.strip() for part in line.split("|"))
        text = said.lower() if lower else said
        assert not leaks(cleaner, text, words), said
        assert cleaner.explain(text), said


def test_a_removal_speaks_closed_words_and_lies_in_the_text(cleaner: TextDeidentifier) -> None:
    for line in lines("personal_sentences.txt"):
        said = line.split("|")[1]
        for removal in cleaner.explain(said):
            assert 0 <= removal.start < removal.end <= len(said)
            assert removal.guard in ("cue", "pattern", "entity", "vocabulary")
            assert removal.kind in KINDS


@pytest.mark.parametrize(
    "term",
    [
        "the Kelman tip", "the Sinskey hook", "Descemet's membrane", "Fuchs dystrophy",
        "the Ahmed valve", "the Malyugin ring", "Tenon's capsule",
    ],
)  # fmt: skip
def test_an_eponym_stays_in_its_compound(cleaner: TextDeidentifier, term: str) -> None:
    assert cleaner.explain(f"Here I show {term} again.") == ()


def test_cleaning_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    said = "We polish the capsule, write to ana.lopez@example.org at www.example.org."
    assert kept(TextDeidentifier(), said) == "we polish the capsule"
