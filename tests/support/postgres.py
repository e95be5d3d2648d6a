"""A throw-away PostgreSQL on a loopback port: a cluster of its own, gone with its folder.

PostgreSQL refuses to run as root; root hands it to Debian's user `postgres`.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSING = "no PostgreSQL server: apt install postgresql"
_USER = "postgres"
_PROGRAMS = ("initdb", "pg_ctl", "postgres", "psql")
_LIMIT_S = 60.0
# A test kills its clients, never the machine: nothing has to reach the disk.
_SETTINGS = ("fsync=off", "unix_socket_directories=", "max_connections=50", "shared_buffers=16MB")


def programs() -> Path | None:
    """The folder of a server's programs: Debian's newest, or what is on the path."""
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    folders = sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    folders += [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    return next((folder for folder in folders if _is_complete(folder)), None)


def _is_complete(folder: Path) -> bool:
    return all(shutil.which(name, path=str(folder)) for name in _PROGRAMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A server that runs."""

    programs: Path
    data: Path
    port: int

    def make_database(self) -> str:
        """A fresh and empty one; its URL."""
        name = f"test_{secrets.token_hex(6)}"
        self._sql("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """One that `make_database` made; connections to it break."""
        self._sql("postgres", f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def url(self, database: str) -> str:
        """Of a database of this server."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """At once; connections break."""
        _control(self, "stop", "-m", "immediate")

    def start(self) -> None:
        """Again, or for the first time, on the same port."""
        settings = " ".join(f"-c {each}" for each in (*_SETTINGS, f"port={self.port}"))
        options = f"-c listen_addresses=127.0.0.1 {settings}"
        _control(self, "start", "-o", options, "-l", str(self.data.parent / "log"))

    def _sql(self, database: str, statement: str) -> None:
        command = [str(self.programs / "psql"), "-qX", "-c", statement, self.url(database)]
        subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT_S)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Make, start, and at the end stop and delete it. Only where `programs` finds some."""
    found = programs()
    assert found is not None, MISSING
    folder = Path(tempfile.mkdtemp(prefix="ophora-postgres-", dir="/tmp"))
    cluster = Cluster(programs=found, data=folder / "data", port=_free_port())
    try:
        _give_away(folder)
        initdb = [str(found / "initdb"), "-D", str(cluster.data), "-U", _USER, "-A", "trust"]
        _run([*initdb, "--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8"])
        cluster.start()
        yield cluster
    finally:
        if (cluster.data / "postmaster.pid").exists():
            cluster.stop()
        shutil.rmtree(folder)


def _control(cluster: Cluster, action: str, *options: str) -> None:
    _run([str(cluster.programs / "pg_ctl"), action, "-w", "-D", str(cluster.data), *options])


def _run(command: Sequence[str]) -> None:
    """As a user that PostgreSQL accepts, whose folder is not this one."""
    if os.geteuid() == 0:
        command = ["runuser", "-u", _USER, "--", *command]
    done = subprocess.run(  # to a file, since the server inherits it
        command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_LIMIT_S
    )
    assert done.returncode == 0, f"{Path(command[-1]).name}: ended with {done.returncode}"


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
