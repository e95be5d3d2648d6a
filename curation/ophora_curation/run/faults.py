"""What an unexpected error means for the run. Its text could name a file, so it is not kept."""

import errno
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path

from ophora_curation.errors import StoreFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_WRITING = frozenset({errno.EROFS})
# how libraries in C++ say it: onnxruntime, CTranslate2, OpenCV
_MEMORY_WORDS = ("bad_alloc", "bad allocation", "insufficient memory", "failed to allocate memory")
_SQLITE_FULL, _SQLITE_READ_ONLY, _SQLITE_IO = 13, 8, 10


def kind_of(error: BaseException) -> str:
    """The error's type and where it came from."""
    steps = traceback.extract_tb(error.__traceback__)
    place = f"@{Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps else ""
    return f"{type(error).__name__}{place}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed."""
    return any(
        isinstance(each, MemoryError)
        or getattr(each, "errno", None) == errno.ENOMEM
        or any(word in str(each).lower() for word in _MEMORY_WORDS)
        for each in _chain(error)
    )


def store_full(error: BaseException) -> StoreFull | None:
    """What to stop the run with where the error means that the store can't be written."""
    for each in _chain(error):
        if isinstance(each, StoreFull):
            return each
        code = getattr(each, "errno", None)
        lite = getattr(each, "sqlite_errorcode", 0) & 0xFF if isinstance(each, sqlite3.Error) else 0
        if code in _NO_ROOM or lite in (_SQLITE_FULL, _SQLITE_IO):
            message = "the site's disk is full: make room and run again; what was finished is kept"
            return StoreFull(message)
        if code in _NO_WRITING or lite == _SQLITE_READ_ONLY:
            return StoreFull(READ_ONLY)
    return None


READ_ONLY = (
    "a folder of the site can't be written: make it writable and run again; what was finished "
    "is kept"
)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
