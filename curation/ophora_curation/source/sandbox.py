"""What confines a process before it opens a file that may be hostile (Linux).

    address space, open files, written bytes -> no new privileges -> no network

Call `limit_process` first of all, before a library starts a thread: a user namespace can't be
entered afterwards. Limits on resources are kept or the call fails; the network is cut off by an
empty namespace where the system allows one, else by a filter that refuses every socket but local
ones. What could be had is returned, so that it can be logged.
"""

import ctypes
import errno
import os
import platform
import resource
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Cut = Literal["namespace", "filter", "open"]

_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_OPEN_FILES = 256
_MB = 1 << 20
_MACHINES = {  # audit architecture, numbers of socket and of io_uring_setup (which opens sockets)
    "x86_64": (0xC000003E, 41, 425),
    "aarch64": (0xC00000B7, 198, 425),
}
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # classic BPF
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
_X32_CALLS = 0x40000000  # the other call table of x86-64


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a process is held to."""

    memory_mb: int  # address space
    network: Cut  # "open": it can still reach the network
    privileges: bool  # True: a program it starts gains nothing by set-user-id

    def __str__(self) -> str:
        """For a log."""
        gained = "none to gain" if self.privileges else "not limited"
        return f"memory={self.memory_mb}MB network={self.network} privileges={gained}"


def limit_process(
    *, memory_mb: int, network: bool = False, writes_mb: int | None = None
) -> Confinement:
    """Confine this process for good; `network` leaves the network open.

    `writes_mb` bounds every file it writes (0: it can write none). Raises `ValueError`, or
    `OSError` where a limit on resources can't be set.
    """
    if memory_mb < 1:
        message = f"memory_mb={memory_mb}: must be at least 1"
        raise ValueError(message)
    _limit(resource.RLIMIT_AS, memory_mb * _MB)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if writes_mb is not None:
        _limit(resource.RLIMIT_FSIZE, writes_mb * _MB)
    library = ctypes.CDLL(None, use_errno=True)
    in_namespace = not network and _leave_network(library)
    privileges = _control(library, _PR_SET_NO_NEW_PRIVS, 1)
    cut: Cut = "namespace" if in_namespace else "open"
    if not network and not in_namespace and privileges and _refuse_sockets(library):
        cut = "filter"
    return Confinement(memory_mb=memory_mb, network=cut, privileges=privileges)


def _limit(what: int, value: int) -> None:
    """Lower a limit; one that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (most, most))


def _leave_network(library: ctypes.CDLL) -> bool:
    """Into an empty network namespace: as it is, or through a user namespace of its own."""
    if library.unshare(_CLONE_NEWNET) == 0:
        return True
    user, group = os.geteuid(), os.getegid()
    if library.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    with suppress(OSError):  # without a map it is nobody, which reads the same files
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def _refuse_sockets(library: ctypes.CDLL) -> bool:
    """A seccomp filter: `socket` of any family but the local one fails with EACCES."""
    known = _MACHINES.get(platform.machine())
    if known is None:
        return False
    machine, socket_call, ring_call = known
    steps = (  # code, steps to jump over if true, if false, operand
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 0, 7, machine),
        (_LOAD, 0, 0, 0),  # the call's number
        (_AT_LEAST, 5, 0, _X32_CALLS),
        (_EQUAL, 4, 0, ring_call),
        (_EQUAL, 0, 2, socket_call),
        (_LOAD, 0, 0, 16),  # its first argument: the family
        (_EQUAL, 0, 1, socket.AF_UNIX),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    )
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(steps), ctypes.addressof(buffer))
    return _control(library, _PR_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(program))


def _control(library: ctypes.CDLL, option: int, *values: int) -> bool:
    wide = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    return bool(library.prctl(option, *wide) == 0)
