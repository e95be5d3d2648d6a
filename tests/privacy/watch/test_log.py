"""Lines: JSON that parses, words for people, and canaries that must not be in either."""

import io
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ophora_privacy.errors import BudgetExceeded, FieldRefused, WatchRefused
from ophora_privacy.watch.events import EVENTS
from ophora_privacy.watch.fields import STRICT_VARIABLE
from ophora_privacy.watch.log import FORMAT_VARIABLE, Log, log_format, start_logging
from ophora_privacy.watch.spans import span
from watched import lines, parsed

PLANTED = "Eleanor Whitcombe"
LOG = Log("test")


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STRICT_VARIABLE)


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_each_event_is_one_json_object_with_time_level_event_and_fields() -> None:
    with lines() as stream:
        LOG.info("round-finished", round=3, stage="tpt", seconds=1.25)
        LOG.warning("reply", site="site-a", code="late", bytes=0)
    first, second = parsed(stream)
    assert list(first) == ["time", "level", "event", "round", "stage", "seconds"]
    assert (first["level"], first["event"], first["seconds"]) == ("info", "round-finished", 1.25)
    assert (second["level"], second["code"]) == ("warning", "late")


def test_plain_lines_are_words_for_a_person() -> None:
    with lines("plain") as stream:
        LOG.info("reply", site="site-a", code="ok", bytes=12)
    assert stream.getvalue().endswith(" info reply site=site-a code=ok bytes=12\n")


def test_lines_carry_the_fields_of_the_spans_around_them() -> None:
    with lines() as stream, span("round", run="demo", round=2), span("gather", stage="tpt"):
        LOG.info("reply", site="site-a", code="ok")
    (line,) = parsed(stream)
    assert (line["run"], line["round"], line["stage"], line["site"]) == ("demo", 2, "tpt", "site-a")


@pytest.mark.parametrize("kind", ["json", "plain"])
def test_a_name_in_an_unlisted_field_is_in_no_line(production: None, kind: str) -> None:
    with lines(kind) as stream:
        LOG.info("reply", narration=f"good morning {PLANTED}", site=PLANTED, code="ok")
        LOG.info("reply", **{PLANTED: 1})
        LOG.info(PLANTED, site="site-a")
    assert PLANTED not in stream.getvalue()
    assert stream.getvalue().count("withheld") == 2
    assert stream.getvalue().count("unlisted") == 2


def test_in_tests_the_same_raises() -> None:
    for slip in ({"narration": "x"}, {"site": PLANTED}, {"bytes": "12"}):
        with pytest.raises(FieldRefused):
            LOG.info("reply", **slip)
    with pytest.raises(FieldRefused, match="EVENTS"):
        LOG.info("something-new")
    with pytest.raises(FieldRefused, match="SPANS"), span("something-new"):
        pass


@pytest.mark.parametrize("kind", ["json", "plain"])
def test_a_name_in_an_errors_message_or_its_causes_is_in_no_line(kind: str) -> None:
    def fail() -> None:
        try:
            Path(f"/videos/{PLANTED}/a.mp4").read_bytes()
        except OSError as error:
            raise ValueError(f"{PLANTED}: no such patient") from error

    with lines(kind) as stream:
        try:
            fail()
        except ValueError as error:
            LOG.failed("round-failed", error, code="internal-error")
    assert "Whitcombe" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "internal-error" in stream.getvalue()


def test_an_error_is_told_with_the_line_of_ours_that_it_came_through() -> None:
    with lines() as stream:
        try:
            with span("nothing-like-it"):
                pass
        except FieldRefused as error:
            LOG.failed("round-failed", error)
    assert parsed(stream)[0]["where"].startswith("ophora_privacy.watch.spans:")


def test_only_the_listed_error_classes_are_told_by_their_text() -> None:
    class Chatty(BudgetExceeded):
        pass

    with lines() as stream:
        LOG.failed("round-failed", _raised(BudgetExceeded("epsilon=9.10: the cap is 8.00")))
        LOG.failed("round-failed", _raised(Chatty(PLANTED)))
    safe, chatty = parsed(stream)
    assert safe["detail"] == "epsilon=9.10: the cap is 8.00"
    assert "detail" not in chatty
    assert chatty["error"] == "Chatty"


@pytest.mark.parametrize("kind", ["json", "plain"])
def test_a_record_that_came_by_another_way_is_withheld_whole(kind: str) -> None:
    with lines(kind) as stream:
        other = logging.getLogger("ophora.somewhere")
        other.error("%s came in at nine", PLANTED)
        other.error(PLANTED, extra={"told": {"event": PLANTED}, "patient": PLANTED})
        try:
            raise KeyError(PLANTED)
        except KeyError:
            other.exception("failed", stack_info=True)
    assert "Whitcombe" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 3
    assert stream.getvalue().count("withheld") == 3


def test_other_handlers_get_the_allowed_words_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ophora"):
        LOG.info("reply", site="site-a", code="ok")
        LOG.failed("round-failed", _raised(ValueError(PLANTED)))
    assert "reply site=site-a code=ok" in caplog.text
    assert "Whitcombe" not in caplog.text


def test_the_format_is_an_option_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_format() == "plain"
    monkeypatch.setenv(FORMAT_VARIABLE, "json")
    assert log_format() == "json"
    monkeypatch.setenv(FORMAT_VARIABLE, "xml")
    with pytest.raises(WatchRefused, match="plain or json"):
        start_logging()


def test_starting_twice_writes_each_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("ophora")
    before, level = list(logger.handlers), logger.level
    monkeypatch.setenv(FORMAT_VARIABLE, "json")
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    stream = io.StringIO()
    try:
        start_logging()
        start_logging(stream)
        LOG.info("trainer-ready")
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)
    assert [each["event"] for each in parsed(stream)] == ["trainer-ready"]


def test_a_process_writes_json_to_its_standard_error() -> None:
    code = (
        "from ophora_privacy.watch.log import Log, start_logging\n"
        "start_logging(); Log('x').info('release', stage='tpt', round=2)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin", FORMAT_VARIABLE: "json"},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = parsed(io.StringIO(ended.stderr))
    assert {**line, "time": 0} == {
        "time": 0, "level": "info", "event": "release", "stage": "tpt", "round": 2,
    }  # fmt: skip


def test_what_a_library_says_by_itself_is_withheld_with_its_errors_class() -> None:
    code = (
        "import logging\n"
        "from ophora_privacy.watch.log import start_logging\n"
        "start_logging()\n"
        "logging.getLogger('grpc._server').info('x')\n"
        f"logging.getLogger('libav').warning('opening {PLANTED}.mp4')\n"
        "try:\n"
        f"    raise KeyError('{PLANTED}')\n"
        "except KeyError:\n"
        f"    logging.getLogger('grpc._server').exception('while answering {PLANTED}')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin", FORMAT_VARIABLE: "json"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Whitcombe" not in ended.stderr
    first, second = parsed(io.StringIO(ended.stderr))
    assert (first["level"], first["event"]) == ("warning", "withheld")
    assert (second["event"], second["error"]) == ("withheld", "KeyError")


def test_every_event_that_the_code_tells_is_listed_and_every_listed_one_is_told() -> None:
    root, told = Path(__file__).parents[3], set()
    said = re.compile(r"(?:\.info|\.warning|\.failed|\.record)\(\s*\"([a-z-]+)\"")
    for part in ("privacy", "server", "client", "deploy"):
        for path in (root / part).rglob("*.py"):
            told |= set(said.findall(path.read_text(encoding="utf-8")))
    assert set(EVENTS) - told == {"withheld"}
