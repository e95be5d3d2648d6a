"""A federation of seeded sites in a process of its own, watched and disturbed from outside.

SeededRun.start -> this file as a program: run_federation -> RUN/rounds.jsonl, RUN/told.jsonl

python seeded_run.py RUN SITE...
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ophora_deploy.federation import FrontAddress, LocalSite, run_federation
from ophora_server.one_round import BaseFacts, read_base_facts
from ophora_server.run_folder import RunFolder
from replaying import Replay, processes_about, replay
from seeded_site import TRAINER, make_seeded_run, make_seeded_site, seeded_settings, tuned_rounds

_POLL_S = 0.05
_END_S = 60.0
POINTS = ("waiting", "tuning", "sending", "aggregation")


class TooSlow(Exception):
    """Something did not come within its bound; what it was is in the text."""


@dataclass(slots=True, kw_only=True)
class SeededRun:
    """One run's folders and, between `start` and its end, its process.

    `starts` counts how often it was started: above one, somebody had to call again. `enter` goes
    before its command; with a `front` (HOST:PORT) the sites are elsewhere and connect to that.
    """

    folder: Path
    run: RunFolder
    sites: tuple[LocalSite, ...]
    base: BaseFacts
    starts: int = 0
    enter: tuple[str, ...] = ()
    front: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def make(
        cls, folder: Path, codes: Sequence[str], rounds: int, *, tune_s: float, **quorum: Any
    ) -> "SeededRun":
        """Made, not started."""
        base = _base_facts()
        made = [make_seeded_site(folder / code, code, base, tune_s=tune_s) for code in codes]
        run = make_seeded_run(folder / "run", rounds, expected_sites=len(codes), **quorum)
        return cls(folder=folder, run=run, sites=tuple(made), base=base)

    def start(self) -> None:
        """Start, or start again, what is left of the run."""
        command = [sys.executable, str(Path(__file__).resolve()), str(self.run.path)]
        where = ["--front", self.front] if self.front else [str(s.folder) for s in self.sites]
        log = (self.folder / "run.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [*self.enter, *command, *where],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1

    def is_running(self) -> bool:
        """Whether the process that was started last runs."""
        return self.process is not None and self.process.poll() is None

    def rounds_done(self) -> int:
        """Finished ones, as the event log has them."""
        done = [e["round"] for e in self.run.events() if e["event"] == "round-finished"]
        return max(done, default=0)

    def wait_for(self, what: str, reached: Callable[[], bool], *, within_s: float) -> None:
        """Poll, starting again what ended before its time. Raises TooSlow."""
        deadline = time.monotonic() + within_s
        while not reached():
            if not self.is_running():
                self.start()
            if time.monotonic() > deadline:
                raise TooSlow(f"{what}: not in {within_s:g} s; {self.rounds_done()} rounds done")
            time.sleep(_POLL_S)

    def is_at(self, number: int, point: str) -> bool:
        """Whether the round has come to one of POINTS, or is past it."""
        if self.rounds_done() >= number:
            return True
        match point:
            case "waiting":
                begun = any(e["event"] == "started" for e in self.run.events())
                return begun and self.rounds_done() >= number - 1
            case "tuning":
                return any(number in tuned_rounds(site.folder) for site in self.sites)
            case "sending":
                return any(number in _sent_rounds(site.folder) for site in self.sites)
            case _:
                events = self.run.events()
                replied = {e["site"] for e in events if _is_reply(e, number)}
                return len(replied) == len(self.sites)

    def told(self) -> list[dict[str, Any]]:
        """Every event that `run_federation` told, over all starts."""
        path = self.run.path / "told.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return list(_whole(lines))

    def finish(self, *, within_s: float) -> None:
        """Wait until all rounds are done and the process has ended by itself."""
        rounds = sum(stage.rounds for stage in seeded_stages(self.run))
        self.wait_for("the end", lambda: self.rounds_done() >= rounds, within_s=within_s)
        assert self.process is not None
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired as error:
            raise TooSlow(f"the end of the process: not in {within_s:g} s") from error

    def stop(self) -> None:
        """End it as Ctrl-C does, or with SIGKILL; its guard ends what it started."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def left_over(self) -> list[str]:
        """Processes that still name this run, after a time in which the guard may end them."""
        deadline = time.monotonic() + _END_S
        while (found := processes_about(self.folder)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def replay(self) -> Replay:
        """Held against what it must have come to."""
        return replay(self.run, self.sites, self.base.shapes)


@contextmanager
def seeded_run(
    folder: Path, codes: Sequence[str], rounds: int, *, tune_s: float = 1.0, **quorum: Any
) -> Iterator[SeededRun]:
    """One that is started here and is over afterwards, whatever happens."""
    made = SeededRun.make(folder, codes, rounds, tune_s=tune_s, **quorum)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def seeded_stages(run: RunFolder) -> Sequence[Any]:
    """The stages that its settings ask for now."""
    from ophora_server.federation_settings import FederationSettings

    return FederationSettings.read(run.settings_file).stages


@cache
def _base_facts() -> BaseFacts:
    return read_base_facts(seeded_settings(1))


def _is_reply(event: Mapping[str, Any], number: int) -> bool:
    return event["event"] == "reply" and event["round"] == number


def _sent_rounds(site: Path) -> set[int]:
    path = site / "logs" / "sent.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {int(line["about"].get("round", 0)) for line in _whole(lines)}


def _whole(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The lines that are there in whole: a process may be about to write the last one."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def main() -> None:
    """Run it; each event is a line of RUN/told.jsonl."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("site", type=Path, nargs="*")
    parser.add_argument("--front", default="127.0.0.1:0")
    given = parser.parse_args()
    sites = [LocalSite(code=path.name, folder=path, trainer=TRAINER) for path in given.site]
    host, _, port = given.front.rpartition(":")

    def tell(event: Mapping[str, Any]) -> None:
        with (given.run / "told.jsonl").open("a") as file:
            file.write(json.dumps({"told": time.time(), **event}) + "\n")

    front = FrontAddress(host=host, port=int(port), names=(host,))
    run_federation(RunFolder(path=given.run), sites, tell, front=front)


if __name__ == "__main__":
    main()
