"""Words that announce a person: a cue drops the sentence, a role only what is personal after it.

"The patient looks down" speaks of the eye, "the patient, Velour" of a person: after a role any
word that is not of the vocabulary, and any word that is a name too, costs the rest of the sentence.
"""

import re
from itertools import islice

from ophora_curation.text.vocabulary import double_words


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLE = (
    r"(?:mr|mrs|ms|miss|mister|missus|dr|doctor|prof|professor|sister|sir|madam|lady|gentleman)"
)
_TIME = (
    r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|first|second|third|fourth|\w+teenth"
    r"|\w+tieth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|twenty|thirty)"
)
_SENTENCE_CUES = {
    "name": rf"{_TITLE}\b\.?|name|names|named|surname|nickname|my colleague|on behalf of",
    "birth": r"birth|born|birthday|dob",
    "age": (
        r"years? old|year-old|yrs? old|yo|aged|age(?![- ]related)|(?:in|into) (?:his|her|their)"
        r" (?:early |mid |late )?\w+(?:ies|teens)|teenager|toddler|twenties|thirties|forties"
        r"|fifties"
        r"|sixties|seventies|eighties|nineties"
    ),
    "record": (
        r"mrn|record|records|study participant|study subject|chart|file|insurance|passport"
        r"|social security|identifier|id|identity"
        r"|number(?! of\b| (?:\w+ )?blade| (?:one|two|three)\b(?! (?:\d|oh\b|zero|one|two|three"
        r"|four|five|six|seven|eight|nine|double)))"
    ),
    "contact": (
        r"phone|telephone|mobile (?:is|at)|email|e-mail|(?<!we )(?<!to )(?<!i )(?<!now )(?<!then )"
        r"(?<!will )(?<!can )(?<!and )address(?!ing|ed)|address is|home address"
    ),
    "place": (
        r"hospital|infirmary|institute|polyclinic|sanatorium|(?:medical|eye|health) cent(?:er|re)"
        r"|street|road|avenue|lives|lived|living (?:in|on|at|near)|live in|live at"
        r"|resident of|from the city|department|clinic|ward"
        r"|(?:comes?|came (?:here )?) from(?! (?:the )?(?:outside|inside|above|below|behind|within"
        r"|under|side|top|bottom|front|bag|wound|angle|iris|lens|vitreous|edge|port|tip))"
        r"|hometown|village"
    ),
    "relation": (
        r"husband|wife|daughter|son|mother|father|grandmother|grandfather|widow|widower|brother"
        r"|uncle|aunt|cousin|niece|nephew|grandson|granddaughter|neighbo[u]?r|mom|dad"
    ),
    "job": (
        r"retired|works? (?:as|at|for)|working as|worked (?:as|at|for)|occupation|profession|by"
        r" trade"
        r"|(?:patient|he|she|who) (?:is|was) an? (?:\w+ )?(?:nurse|surgeon|technician|operator"
        r"|judge)"
    ),
    "origin": r"(?:is|was|are) (?:an? )?polish(?! the)",
    "referral": r"referred (?:by|from|to)|operated by|appointment",
    "date": (
        r"today is|dated|yesterday|tomorrow|monday|tuesday|wednesday|thursday|friday|saturday"
        r"|sunday"
        r"|january|february|march|april|june|july|august|september|october|november|december"
        rf"|(?:{_TIME}|of|in|since|last|this|next|until|on|by) may|may (?:the )?{_TIME}"
        r"|(?:jan|feb|apr|jun|jul|aug|sept?|oct|nov|dec)\.? \d{1,2}"
        r"|\d{1,2}(?:st|nd|rd|th)? (?:of )?(?:jan|feb|apr|jun|jul|aug|sept?|oct|nov|dec)"
        rf"|christmas|easter"
        r"|(?:new year|last week|last month|last year|this morning)"
    ),
}
_CUES = re.compile(
    r"\b(?:" + "|".join(f"(?P<{kind}>{words})" for kind, words in _SENTENCE_CUES.items()) + r")\b",
    re.IGNORECASE,
)
CUE_KINDS = tuple(_SENTENCE_CUES)
_ROLES = re.compile(
    r"\b(?:patient|patients|patient's|he|she|his|her|him|hers|he's|she's|man|woman|boy|girl"
    r"|guy(?! ropes?)|case of|surgeon(?!'?s knot)|surgeon's(?! knot)|assistant|fellow|resident"
    r"|nurse|technician|colleague|friend|trainee|called|assisted by|performed by|done by|taught by"
    r"|my fellow|welcome"
    r"|an?esthesiologist|an?esthetist)\b",
    re.IGNORECASE,
)
_INTRODUCTIONS = re.compile(r"\b(?:this is|it's|(?<!what )i am|i'm)\b", re.IGNORECASE)
_INTRODUCED = 2  # words after "this is" that may be a name
_WORD = re.compile(r"\w[\w'-]*")
# words of the vocabulary that are also given names, surnames or origins
ALSO_NAMES = (
    _words(
        "add back ball banks bent best bitten blanch block bloom branch bridge bright burns burr"
        " bury bush case cases chase chin clear constant cross deep diamond dimple dot drew drop"
        " dusty early else evert fair fall fashion field finesse fit flood foot fresh front fuller"
        " gauge general glass golden good gray grey gross guard hand held holder hook hung iris"
        " ivory jet key kind lacy lane lean lens light lips little lone long low major mark marks"
        " math miner minor monarch moody more nail nick odd ora orange page palm patience pearl"
        " pearls pearly pierce pink plana polish post power powers price ray read reader red reed"
        " reeds rice ridge ring rock sharp shields shine short signature skip small smart snow"
        " sound spring star steer stent strand strong swift tan till trace true venturi wall walls"
        " warmer wash waters watt watts way wild will wing wise"
    )
    | double_words()
)
_AFTER_ROLE = ALSO_NAMES - _words(
    "back best clear constant early good hand held kind little low more small will true way long"
    " short light lens red foot fit case key post grey gray general power hook ring cases read"
    " minor major fair deep strong sharp odd polish wash drop front"
)
_NAMED_ROLE = re.compile(
    rf"(?:{_ROLES.pattern}|(?P<introduced>{_INTRODUCTIONS.pattern}))(?:\W+is)?\W+(?P<word>[a-z]+)",
    re.IGNORECASE,
)


def sentence_cue(sentence: str) -> str:
    """The kind of personal matter that the sentence announces, or ""."""
    found = _CUES.search(sentence)
    return (found.lastgroup or "") if found else ""


def names_a_role(clause: str) -> bool:
    """Whether the clause speaks of somebody: what is not plainly harmless in it is personal."""
    return bool(_ROLES.search(clause))


def words_introduced(sentence: str) -> list[tuple[int, int]]:
    """The words [start, end) right after "this is" and the like, which may be somebody's name."""
    return [
        word.span()
        for mark in _INTRODUCTIONS.finditer(sentence)
        for word in islice(_WORD.finditer(sentence, mark.end()), _INTRODUCED)
    ]


def name_after_role(sentence: str) -> int | None:
    """Where a word that is a name too follows a role directly; None when nowhere."""
    for mark in _NAMED_ROLE.finditer(sentence):
        word = mark["word"].lower()
        if word in _AFTER_ROLE and not (mark["introduced"] and word in double_words()):
            return mark.start("word")
    return None


def is_named(words: list[str], position: int) -> bool:
    """Whether a word of the vocabulary (words as written) stands here as somebody's name."""
    word = re.sub(r"'s?$", "", words[position])
    if not word[:1].isupper() or word.isupper() or word.lower() not in ALSO_NAMES:
        return False
    follower = words[position + 1] if position + 1 < len(words) else ""
    if position > 0 and words[position - 1] in ("a", "an"):
        return False  # a thing: nobody is called "a Venturi"
    return position > 0 or (follower[:1].isupper() and follower.lower() in ALSO_NAMES)
