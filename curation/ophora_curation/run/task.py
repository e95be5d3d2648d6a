"""What passes between a run and its workers.

The answers come from processes that have read hostile files, so `read_answer` rebuilds only the
values that an answer is made of; anything else in it counts as the worker's death.
"""

import io
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ophora_curation.errors import CurationError
from ophora_curation.execution import ExecutionSettings
from ophora_curation.job import VideoJob
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.records import VideoOutcome
from ophora_curation.text.refining import RefineSettings

if TYPE_CHECKING:
    from ophora_curation.look import Look

Stage = Literal["look", "curate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """What every worker is told once."""

    settings: CurationSettings
    refine: RefineSettings
    execution: ExecutionSettings
    out: CurationPaths
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One video for one stage; `look` is there for the second."""

    job: VideoJob
    look: "Look | None" = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a task: a look, an outcome, or the reason why there is neither.

    `kind` is the type and place of an unexpected error; `stop` ends the whole run.
    """

    look: "Look | None" = field(default=None, repr=False)
    outcome: VideoOutcome | None = None
    reason: str = ""
    kind: str = ""
    is_spent: bool = False  # the worker should not be given another video
    stop: CurationError | None = None


_OURS = (
    *("ophora_curation.errors", "ophora_curation.job", "ophora_curation.look"),
    *("ophora_curation.source.", "ophora_curation.footage.", "ophora_curation.store.records"),
    "ophora_curation.run.task",
)
_PLAIN = frozenset(
    {
        *(("fractions", "Fraction"), ("pathlib", "PosixPath")),
        *(("array", "array"), ("array", "_array_reconstructor")),
        *(("numpy", "ndarray"), ("numpy", "dtype")),
        *(("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar")),
        *(("numpy._core.numeric", "_frombuffer"), ("_codecs", "encode")),
    }
)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        if module.startswith(_OURS):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        message = "an answer holds what no answer is made of"
        raise pickle.UnpicklingError(message)


def read_answer(content: bytes) -> Any:
    """The value in a worker's message. Raises an error of any kind where it is not one."""
    return _Reader(io.BytesIO(content)).load()
