"""Each limit is tried in a process of its own: it can't be taken back."""

import subprocess
import sys

import pytest

from ophora_curation.source.sandbox import limit_process

_BEGIN = "from ophora_curation.source.sandbox import *; import ophora_curation.source.sandbox as s;"


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_allocation_bomb_is_stopped() -> None:
    script = """
limit_process(memory_mb=512)
held = []
try:
    while True:
        held.append(bytearray(16 << 20))
except MemoryError:
    print(len(held))
"""
    assert 1 <= int(run(script)) < 32


def test_a_picture_of_claimed_gigabytes_is_stopped_in_the_libraries() -> None:
    script = """
limit_process(memory_mb=1024)
import numpy, av
try:
    av.VideoFrame(16384, 16384, "rgb48le")
    av.VideoFrame(16384, 16384, "rgba64le")
except (MemoryError, av.FFmpegError):
    print("stopped")
"""
    assert run(script) == "stopped"


@pytest.mark.parametrize("forbidden", ["", "s._leave_network = lambda library: False;"])
def test_the_network_is_out_of_reach(forbidden: str) -> None:
    """With a namespace, and with the filter that stands in for it."""
    script = f"""
{forbidden}
import socket
server = socket.create_server(("127.0.0.1", 0))
had = limit_process(memory_mb=1024)
try:
    socket.create_connection(server.getsockname(), timeout=5)
    print("reached")
except OSError:
    print(had.network)
ours, theirs = socket.socketpair()  # a worker's own pipe still works
"""
    reached = run(script)
    assert reached in ({"filter"} if forbidden else {"namespace", "filter"})


def test_the_network_stays_where_it_is_needed() -> None:
    script = """
import socket
server = socket.create_server(("127.0.0.1", 0))
had = limit_process(memory_mb=1024, network=True)
socket.create_connection(server.getsockname(), timeout=5)
print(had.network)
"""
    assert run(script) == "open"


def test_a_process_that_only_looks_can_write_no_file() -> None:
    script = """
import tempfile
with tempfile.TemporaryDirectory() as folder:
    limit_process(memory_mb=512, writes_mb=0)
    try:
        with open(folder + "/a", "wb") as file:
            file.write(b"x")
        print("written")
    except OSError as error:
        print(error.strerror)
"""
    assert run(script) == "File too large"


def test_files_cores_and_privileges_are_limited() -> None:
    script = """
import resource
had = limit_process(memory_mb=512)
status = open("/proc/self/status").read()
print(resource.getrlimit(resource.RLIMIT_CORE)[1], had.privileges, "NoNewPrivs:\\t1" in status)
try:
    files = [open("/dev/null") for _ in range(2000)]
except OSError as error:
    print(error.strerror)
"""
    assert run(script).splitlines() == ["0 True True", "Too many open files"]


def test_a_limit_that_means_none_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_mb=-1: must be at least 1"):
        limit_process(memory_mb=-1)
