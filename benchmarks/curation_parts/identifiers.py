"""Planted identifiers that survive anywhere: six kinds in speech, overlays, file names and tags.

Every person is invented and occurs once. Short videos with subtitles carry one person each, in all
channels; longer ones without subtitles are only heard, and speak of another person in each segment.
Afterwards every byte of the site is searched: manifest, journals, logs, certificates, exports,
clips held and kept; and the pixels of the clips for burned-in lines.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from faker import Faker

from curation_parts.held_out_people import LOCALES, plain
from curation_parts.site import curate_site
from goals import Goal, share
from ophora_client.report.figures import collect_figures
from ophora_client.report.page import render_report
from ophora_client.site import init_site
from ophora_curation.evaluation import CurationScore, score
from ophora_curation.phantom.case import Case, write_case
from ophora_curation.phantom.identity import Person, invent_person
from ophora_curation.phantom.look import draw_eye_look
from ophora_curation.phantom.narration import Sentence, Utterance
from ophora_curation.phantom.phrases import INSTRUCTIONS
from ophora_curation.phantom.planted import KINDS
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.phantom.script import Script, Segment
from ophora_curation.phases import PHASES
from ophora_curation.store.manifest import Manifest

SHOWN, HEARD = 440, 310  # people; of a kind over 300 where a third of the lines is left out
HEARD_AT_ONCE = 5
QUICK_SHOWN, QUICK_HEARD = 20, 5
FPS = 8
SHOWN_S, HEARD_S = 4.0, 13.0
SHOWN_SIZE, HEARD_SIZE = (480, 320), (320, 240)
CHANNELS = ("speech", "audio", "overlay", "file_name", "tags")

REMARKS = (
    "{first} {last} of {hospital}, {age} years old, born {birth_words}, file {mrn}, phone {phone}.",
    "File {mrn}: {title} {last}, {birth_words}, now {age} years, sent by {hospital}, call {phone}.",
    "At {hospital} we saw {title} {last}, {age} years, born {birth_words}, number {mrn}, {phone}.",
    "Ring {phone} for {first} {last}, {age} years, {mrn}, date {birth_words}, {hospital}.",
)


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Plant, curate, search."""
    videos, site = folder / "videos", folder / "site"
    rng = np.random.default_rng([seed, 77])
    people = invent_people(rng)
    for _ in range(QUICK_SHOWN if quick else SHOWN):
        make_shown(videos, rng, next(people))
    for _ in range(0, QUICK_HEARD if quick else HEARD, HEARD_AT_ONCE):
        make_heard(videos, rng, [next(people) for _ in range(HEARD_AT_ONCE)])
    curate_site(videos, site, {"min_width": HEARD_SIZE[0], "min_height": HEARD_SIZE[1]})
    found = score(site, videos)
    for what in (*found.strings_found, *found.legible_clips):  # of invented people
        sys.stderr.write(f"    found: {what}\n")
    return [*absent(found), figures_left(site)]


def absent(found: CurationScore) -> list[Goal]:
    """A row for each kind and channel, and one for all strings with their words."""
    rows = [
        share(
            f"{kind.replace('_', ' ')} in {channel.replace('_', ' ')}: found nowhere",
            planted.hits,
            planted.total,
            bounded=True,
        )
        for kind in KINDS
        for channel in CHANNELS
        for planted in [found.planted_by_kind[kind, channel]]
    ]
    total, held = found.planted_absent, found.personal_held
    return [
        *rows,
        share("all planted strings and their words: found nowhere", total.hits, total.total),
        share("clips with burned-in data held or without a legible line", held.hits, held.total),
    ]


def figures_left(site: Path) -> Goal:
    """Whatever a recogniser made of a number: no instruction holds five figures in a row."""
    with Manifest.open(site / "manifest.sqlite") as manifest:
        texts = [clip.instruction for clip in manifest.clips()]
    left = sum(bool(re.search(r"(\d\W*){5}", text)) for text in texts)
    return Goal(
        what="instructions with five figures in a row",
        measured=float(left),
        samples=len(texts),
        at_most=0.0,
    )


def invent_people(rng: np.random.Generator) -> Iterator[Person]:
    """People over 89 of many countries, no two with the same surname, number, phone or hospital.

    Nobody is called what instructions or the report say of everybody ("golden ring", "block"): a
    hit of such a name would prove nothing.
    """
    surnames: set[str] = set()
    for number in range(100_000):
        fake = Faker(LOCALES[int(rng.integers(len(LOCALES)))])
        fake.seed_instance(int(rng.integers(2**31)))
        first, last, city, doctor = (
            re.sub(r"[^A-Za-z]", "", plain(text))
            for text in (fake.first_name(), fake.last_name(), fake.city(), fake.last_name())
        )
        if len(last) < 5 or len(doctor) < 5 or len(city) < 4 or {last, doctor} & surnames:
            continue
        if any(name.lower() in _said_anyway() for name in (first, last, doctor, city)):
            continue
        surnames |= {last, doctor}
        visit = date(2020, 1, 1) + timedelta(days=number)
        born = date(visit.year - int(rng.integers(90, 105)), 1, 1)
        yield replace(
            invent_person(rng),
            first=first,
            last=last,
            doctor=doctor,
            city=city,
            hospital=f"{city} {last} Hospital",
            mrn=str(int(rng.integers(10_000_000, 100_000_000))),
            phone=f"0{int(rng.integers(1000, 10_000))} {int(rng.integers(100_000, 1_000_000))}",
            visit=visit,
            born=born + timedelta(days=number % 360),
        )


@cache
def _said_anyway() -> str:
    """Every instruction of every phase, and the page of a site with nothing in it."""
    with TemporaryDirectory() as name:
        site = init_site(Path(name) / "site", code="bench", profile={})
        with Manifest.open(site.manifest_path) as manifest:
            figures = collect_figures(manifest, site.settings.curation, ())
        page = render_report(figures, code="bench", made_on=date(2020, 1, 1))
    texts = [text for texts in INSTRUCTIONS.values() for text in texts]
    return "\n".join([*texts, page]).lower()


def make_shown(videos: Path, rng: np.random.Generator, person: Person) -> None:
    """One short segment with subtitles; the person is in every channel."""
    remark, instruction = _said(rng, person, 0.1, 1.9), _instruction(rng, 2.0, SHOWN_S - 0.1)
    _write(videos, rng, (person,), [remark, instruction], length_s=SHOWN_S, size=SHOWN_SIZE)


def make_heard(videos: Path, rng: np.random.Generator, people: list[Person]) -> None:
    """Segments that are only heard, each with another person; the first one's is the folder."""
    said: list[Utterance] = []
    for number in range(len(people)):
        start_s = number * HEARD_S
        said.append(_said(rng, people[number], start_s + 0.3, start_s + 9.0))
        said.append(_instruction(rng, start_s + 9.3, start_s + HEARD_S - 0.2))
    _write(videos, rng, tuple(people), said, length_s=HEARD_S, size=HEARD_SIZE)


def _said(rng: np.random.Generator, person: Person, start_s: float, end_s: float) -> Utterance:
    text = REMARKS[int(rng.integers(len(REMARKS)))].format(**person.facts())
    sentence = Sentence(text=text, kind="personal", personal=(person.last, person.mrn))
    return Utterance(start_s=start_s, end_s=end_s, sentence=sentence)


def _instruction(rng: np.random.Generator, start_s: float, end_s: float) -> Utterance:
    phase = PHASES[int(rng.integers(len(PHASES)))]
    texts = INSTRUCTIONS[phase]
    text = texts[int(rng.integers(len(texts)))]
    sentence = Sentence(text=text, kind="instruction", phase=phase)
    return Utterance(start_s=start_s, end_s=end_s, sentence=sentence)


def _write(
    videos: Path,
    rng: np.random.Generator,
    people: tuple[Person, ...],
    said: list[Utterance],
    *,
    length_s: float,
    size: tuple[int, int],
) -> None:
    """A video with a segment for each person; the phase shown is the one that is spoken of."""
    heard = len(people) > 1
    frames = round(length_s * FPS)
    phases = [item.sentence.phase for item in said if item.sentence.phase]
    segments = tuple(
        Segment(
            phase=phase,
            first=number * frames,
            frames=frames,
            overlay="none" if heard else "personal",
            faults=(),
            seed=int(rng.integers(2**31)),
        )
        for number, phase in enumerate(phases)
    )
    request = PhantomRequest(
        out=videos,
        patients=1,
        seed=0,
        size=size,
        fps=FPS,
        speech_share=0.0,
        voice=heard,
        identities="full",
    )
    script = Script(segments=segments, narration=tuple(said), frames=frames * len(segments))
    case = Case(
        person=people[0],
        look=draw_eye_look(rng),
        script=script,
        sidecar=not heard,
        named=people,
    )
    folder = videos / f"{people[0].last}_{people[0].first}_MRN{people[0].mrn}"
    folder.mkdir(parents=True)
    write_case(request, case, rng, folder, copy=False)
