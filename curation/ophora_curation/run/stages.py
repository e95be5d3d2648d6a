"""The work of each stage inside a worker, whatever process holds it.

look: job -> Look (no models)          curate: job + Look -> VideoOutcome (models)
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Union

from ophora_curation.errors import SettingsError, StoreFull, VideoRefused
from ophora_curation.run.faults import is_out_of_memory, kind_of, store_full
from ophora_curation.run.task import Answer, Stage, Task, WorkerSetup
from ophora_curation.store.records import VideoOutcome

if TYPE_CHECKING:
    from ophora_curation.look import Look

Work = Callable[[Task], Union["Look", VideoOutcome]]
Begin = Callable[[Stage, WorkerSetup], Work]


def begin_stage(stage: Stage, setup: WorkerSetup) -> Work:
    """Import what the stage needs and return its work; models load at their first use."""
    if stage == "look":
        from ophora_curation.look import look

        return lambda task: look(task.job, setup.settings)
    from ophora_curation.detectors import Detectors
    from ophora_curation.video import VideoCurator

    curator = VideoCurator(
        settings=setup.settings,
        key=setup.key,
        out=setup.out,
        detectors=Detectors(
            setup.settings, refine=setup.refine, speech_threads=setup.execution.speech_threads
        ),
    )

    def curate(task: Task) -> VideoOutcome:
        assert task.look is not None
        return curator.curate(task.job, task.look)

    return curate


def answer_task(work: Work, task: Task, stage: Stage) -> Answer:
    """Do one task; what goes wrong costs its video, or stops the run where nothing could go on."""
    try:
        found = work(task)
    except VideoRefused as refusal:
        return Answer(reason=refusal.reason)
    except (StoreFull, SettingsError) as error:
        return Answer(stop=error)
    except Exception as error:  # the edge of the process: one video never ends the run
        return _answer_fault(error, stage)
    if isinstance(found, VideoOutcome):
        return Answer(outcome=found)
    return Answer(look=found)


def _answer_fault(error: Exception, stage: Stage) -> Answer:
    if is_out_of_memory(error):
        return Answer(reason="out-of-memory", kind=kind_of(error), is_spent=True)
    full = store_full(error) if stage == "curate" else None  # a look writes nothing
    if full is not None:
        return Answer(stop=full)
    return Answer(reason="failed", kind=kind_of(error))
