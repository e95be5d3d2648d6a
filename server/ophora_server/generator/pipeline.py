"""A release as the worker's pipeline: the model part's generator, and MP4 out.

Loading brings in torch, so only a worker process (or `ophora generate`) calls `load_pipeline`; the
API process reads a release's card and no weights.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ophora_model.errors import Cancelled
from ophora_model.presets import Preset, find_preset
from ophora_model.release import load_generator, read_release
from ophora_model.video import write_video
from ophora_server.generator.order import Offer, VideoOrder

if TYPE_CHECKING:
    from ophora_model.sampling import Generator


def read_offer(release: Path) -> Offer:
    """Verify a release's files and return what it can make. Raises the model part's errors."""
    preset = find_preset(read_release(release).preset)
    return Offer(
        model=f"ophora-{preset.name}",
        size=f"{preset.width}x{preset.height}",
        seconds=str(round((preset.frames - 1) / preset.fps)),
        fps=preset.fps,
        frames=preset.frames,
        default_steps=preset.sampling_steps,
        default_guidance=preset.guidance,
    )


def load_pipeline(release: Path, base_folder: Path | None = None) -> "ReleasePipeline":
    """Load a release with its base. Raises the model part's errors."""
    _silence_progress_bars()
    return ReleasePipeline(load_generator(release, base_folder=base_folder))


class ReleasePipeline:
    """A loaded release that renders orders; one caller at a time."""

    def __init__(self, generator: "Generator") -> None:
        self._generator = generator

    @property
    def preset(self) -> Preset:
        """The preset of the base."""
        return self._generator.base.preset

    def render(
        self,
        order: VideoOrder,
        path: Path,
        *,
        on_step: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Mapping[str, object]:
        """Write the MP4 and return the sampler's record. Raises Cancelled after a cancel."""
        from ophora_model.sampling import SamplerRecord

        record = SamplerRecord.of_preset(
            self.preset, seed=order.seed, steps=order.steps, guidance=order.guidance
        )
        (frames,) = self._generator.generate(
            [order.prompt], record, on_step=on_step, cancelled=cancelled
        )
        if cancelled():
            raise Cancelled("stopped after the last step")
        write_video(path, frames, self.preset.fps)
        return record.to_dict()


def _silence_progress_bars() -> None:
    """Keep the loaders' own bars out of a server's messages."""
    import threading

    from tqdm import tqdm  # type: ignore[import-untyped]
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    # its default lock is a named semaphore, which a terminated worker would leave behind
    tqdm.set_lock(threading.RLock())
