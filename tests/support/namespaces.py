"""A federation over network namespaces: each hospital and the coordinator with a link of its own.

    namespace of the coordinator --veth-- bridge in a namespace of its own --veth-- a site's each

Nothing is made outside these namespaces. A link can be cut and joined; where the kernel has netem,
it can be slow and lossy as well.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ophora_deploy.processes import ProcessSet
from ophora_deploy.site_processes import SiteProcesses, site_key
from seeded_run import SeededRun
from seeded_site import TRAINER

COORDINATOR = "coordinator"
_HOST, _PORT = "10.88.0.1", 8443
_END_S = 30.0


def why_not() -> str:
    """Why there can be no namespaces here; empty where there can."""
    try:
        with network(["probe"]):
            return ""
    except FileNotFoundError:
        return "ip is not installed: install iproute2"
    except subprocess.CalledProcessError:
        return "not possible here: network namespaces are not permitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Namespaces by the name of who is in them."""

    prefix: str
    names: tuple[str, ...]

    def enter(self, name: str) -> tuple[str, ...]:
        """What goes before a command that is to run there."""
        return ("ip", "netns", "exec", f"{self.prefix}-{name}")

    def cut(self, name: str) -> None:
        """Its link is down from now on."""
        self._hub("ip", "link", "set", self._port(name), "down")

    def join(self, name: str) -> None:
        """Its link is up again."""
        self._hub("ip", "link", "set", self._port(name), "up")

    def impair(self, name: str, *, delay_ms: float, loss_percent: float) -> bool:
        """Delay and loss in both directions of its link; False where the kernel has no netem."""
        netem = ("netem", "delay", f"{delay_ms:g}ms", "loss", f"{loss_percent:g}%")
        outward = [*self.enter(name), "tc", "qdisc", "replace", "dev", "eth0", "root", *netem]
        if subprocess.run(outward, stderr=subprocess.DEVNULL).returncode:
            return False
        self._hub("tc", "qdisc", "replace", "dev", self._port(name), "root", *netem)
        return True

    def _hub(self, *command: str) -> None:
        _run(*self.enter("hub"), *command)

    def _port(self, name: str) -> str:
        return f"port{self.names.index(name)}"

    def _add(self, name: str) -> None:
        """A namespace with loopback and a link to the bridge."""
        space, port, number = f"{self.prefix}-{name}", self._port(name), self.names.index(name)
        _run("ip", "netns", "add", space)
        peer = ("peer", "name", "eth0", "netns", space)
        self._hub("ip", "link", "add", port, "type", "veth", *peer)
        self._hub("ip", "link", "set", port, "master", "hub", "up")
        for command in (
            ("ip", "address", "add", f"10.88.0.{number + 1}/24", "dev", "eth0"),
            ("ip", "link", "set", "eth0", "up"),
            ("ip", "link", "set", "lo", "up"),
        ):
            _run(*self.enter(name), *command)


@contextmanager
def network(names: Sequence[str]) -> Iterator[Network]:
    """One link for each name, the first at 10.88.0.1; taken away afterwards.

    Raises CalledProcessError where that isn't permitted, FileNotFoundError without iproute2.
    """
    made = Network(prefix=f"ophora{os.getpid()}", names=tuple(names))
    try:
        _run("ip", "netns", "add", f"{made.prefix}-hub")
        made._hub("ip", "link", "add", "hub", "type", "bridge")
        made._hub("ip", "link", "set", "hub", "up")
        for name in names:
            made._add(name)
        yield made
    finally:
        for name in ("hub", *names):
            space = ("ip", "netns", "delete", f"{made.prefix}-{name}")
            subprocess.run(space, stderr=subprocess.DEVNULL)


@dataclass(slots=True, kw_only=True)
class SpreadRun:
    """A seeded run whose coordinator and sites are in namespaces."""

    network: Network
    run: SeededRun
    serving: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_sites(self) -> None:
        """Each in its namespace, as soon as the coordinator's certificate is there."""
        authority = self.run.run.tls / "ca.crt"
        self.run.wait_for("the certificate", authority.exists, within_s=300)
        for site in self.run.sites:
            command = [sys.executable, str(Path(__file__).resolve()), str(site.folder)]
            with (self.run.folder / f"{site.code}.log").open("ab") as log:
                self.serving[site.code] = subprocess.Popen(
                    [*self.network.enter(site.code), *command, self.run.front, str(authority)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def stop(self) -> None:
        """End sites and coordinator."""
        for process in self.serving.values():
            process.terminate()
        for process in self.serving.values():
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.run.stop()


@contextmanager
def spread_run(
    folder: Path, codes: Sequence[str], rounds: int, *, tune_s: float, **quorum: float
) -> Iterator[SpreadRun]:
    """A started run of these sites, each in a namespace; over afterwards, whatever happens."""
    with network([COORDINATOR, *codes]) as made:
        run = SeededRun.make(folder, codes, rounds, tune_s=tune_s, **quorum)
        run.enter, run.front = made.enter(COORDINATOR), f"{_HOST}:{_PORT}"
        keys = run.run.path / "sites"
        keys.mkdir()
        for site in run.sites:
            (keys / f"{site.code}.pub").write_bytes(site_key(site.folder).public.read_bytes())
        spread = SpreadRun(network=made, run=run)
        try:
            run.start()
            spread.start_sites()
            yield spread
        finally:
            spread.stop()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """What `ophora site serve` does, with the seeded trainer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("site", type=Path)
    parser.add_argument("address")
    parser.add_argument("authority", type=Path)
    given = parser.parse_args()
    with ProcessSet() as processes:
        running = SiteProcesses(processes, code=given.site.name, folder=given.site)
        running.start_trainer(TRAINER)
        running.connect(given.address, given.authority)
        while True:
            running.restart_ended()
            time.sleep(1.0)


if __name__ == "__main__":
    main()
