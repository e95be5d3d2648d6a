"""Acceleration: what a denoising step may take over from an earlier one instead of computing it.

The hooks are diffusers' own; here are their settings as frozen values that go into the sampler's
record, and the one context in which they are on. CogVideoX's sampler draws new noise at every step
and the denoiser predicts it, so attention (`Pab`) or whole residuals (`MagCache`, `FirstBlock`)
of an earlier step fit the next one badly; the difference between the branches with and without the
prompt holds no noise, and taking that over (`FasterCache`) costs the least.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ophora_model.branch_reuse import reusing_branch
from ophora_model.errors import PlanInvalid
from ophora_model.strict import check_choice, check_keys, check_number, check_whole

if TYPE_CHECKING:
    from diffusers import CogVideoXTransformer3DModel

_CONTEXT = "cond_uncond"  # the pipeline's name for its one call of the denoiser per step
_REFUSED = {
    "taylorseer": "its pattern for attention layers matches none of CogVideoX's",
    "seacache": "the CogVideoX pipeline doesn't tell it which step it is at",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAcceleration:
    """Every step computes everything."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pab:
    """Pyramid Attention Broadcast (arXiv 2408.12588): attention is computed every `every` steps.

    Only at timesteps between `above` and `below`, both exclusive; 1000 is pure noise.
    """

    kind: ClassVar[str] = "pab"
    every: int = 2
    above: int = 100
    below: int = 800

    def __post_init__(self) -> None:
        check_whole("pab.every", self.every, low=2, high=1000)
        check_whole("pab.above", self.above, low=0, high=998)
        check_whole("pab.below", self.below, low=self.above + 2, high=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class FasterCache:
    """FasterCache (arXiv 2410.19355): the branch without the prompt every `branch_every` steps.

    Only at timesteps below `branch_below`. In between it is the branch with the prompt plus their
    last difference, times `decay` at each step. `attention_every` above 1 takes over attention as
    well in those steps, at timesteps below `attention_below`.
    """

    kind: ClassVar[str] = "fastercache"
    branch_every: int = 4
    branch_below: int = 400
    decay: float = 0.7
    attention_every: int = 1
    attention_below: int = 681

    def __post_init__(self) -> None:
        check_whole("fastercache.branch_every", self.branch_every, low=2, high=1000)
        check_whole("fastercache.branch_below", self.branch_below, low=1, high=1000)
        check_number("fastercache.decay", self.decay, low=0, high=2)
        check_whole("fastercache.attention_every", self.attention_every, low=1, high=1000)
        check_whole("fastercache.attention_below", self.attention_below, low=1, high=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MagCache:
    """MagCache (arXiv 2506.09045): whole steps are skipped while the residual's size holds still.

    `ratios` are of one base, adapter and number of steps: `Generator.calibrate` measures them. At
    most `most_skipped` steps in a row, none in the first `retention` of all, and while the errors
    that the ratios foretell add up to at most `threshold`.
    """

    kind: ClassVar[str] = "magcache"
    ratios: tuple[float, ...]
    threshold: float = 0.06
    most_skipped: int = 3
    retention: float = 0.2

    def __post_init__(self) -> None:
        if not isinstance(self.ratios, tuple) or not 1 <= len(self.ratios) <= 1000:
            raise PlanInvalid("magcache.ratios: must be 1 to 1000 numbers; calibrate the generator")
        for ratio in self.ratios:
            check_number("magcache.ratios", ratio, low=0, high=1000)
        check_number("magcache.threshold", self.threshold, low=0, high=1000)
        check_whole("magcache.most_skipped", self.most_skipped, low=1, high=1000)
        check_number("magcache.retention", self.retention, low=0, high=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBlock:
    """First Block Cache: the other blocks are skipped where the first one's residual hardly moved.

    `threshold` is the relative change. The decision is one for the whole batch, so that a batch
    would not equal its single runs: one prompt a call.
    """

    kind: ClassVar[str] = "firstblock"
    threshold: float = 0.05

    def __post_init__(self) -> None:
        check_number("firstblock.threshold", self.threshold, low=0, high=1000)


Acceleration = NoAcceleration | Pab | FasterCache | MagCache | FirstBlock
_KINDS: tuple[type[Acceleration], ...] = (NoAcceleration, Pab, FasterCache, MagCache, FirstBlock)
ACCELERATIONS = tuple(each.kind for each in _KINDS)


def find_acceleration(kind: str) -> Acceleration:
    """The kind with its defaults. Raises `PlanInvalid`: unknown, refused or in need of ratios."""
    found = _find_kind(kind)
    if issubclass(found, MagCache):
        raise PlanInvalid(
            "acceleration='magcache': needs the ratios of this base and adapter;"
            " measure them with Generator.calibrate"
        )
    return found()


def write_acceleration(acceleration: Acceleration) -> dict[str, Any]:
    """JSON-able: the kind and every setting."""
    values = asdict(acceleration)
    for name, value in values.items():
        values[name] = list(value) if isinstance(value, tuple) else value
    return {"kind": acceleration.kind, **values}


def read_acceleration(given: Mapping[str, Any]) -> Acceleration:
    """The reverse of `write_acceleration`; refuses unknown and missing keys."""
    if not isinstance(given, Mapping) or "kind" not in given:
        raise PlanInvalid(f"acceleration={given!r}: must be a table with a kind")
    kind = _find_kind(given["kind"])
    settings = tuple(field.name for field in fields(kind))
    check_keys("acceleration", given, ("kind", *settings))
    values = {name: given[name] for name in settings}
    if isinstance(values.get("ratios"), list):
        values["ratios"] = tuple(values["ratios"])
    return kind(**values)


@contextmanager
def accelerated(
    transformer: CogVideoXTransformer3DModel,
    acceleration: Acceleration,
    *,
    steps: int,
    timestep: Callable[[], Any],
) -> Iterator[None]:
    """The hooks are on inside and gone afterwards with all they kept, also where the body raised.

    `timestep` gives the current one. What is kept is of one call's video: it must not reach the
    next call's.
    """
    if isinstance(acceleration, FasterCache) and acceleration.attention_every == 1:
        with reusing_branch(
            transformer,
            every=acceleration.branch_every,
            below=acceleration.branch_below,
            decay=acceleration.decay,
            timestep=timestep,
        ):
            yield
        return
    config = _make_config(acceleration, steps, timestep)
    if config is None:
        yield
        return
    with _hooked(transformer, config):
        yield


@contextmanager
def calibrating(
    transformer: CogVideoXTransformer3DModel, *, steps: int
) -> Iterator[Callable[[], tuple[float, ...]]]:
    """Gives a function that returns MagCache's ratios of the steps so far; nothing is skipped."""
    from diffusers import MagCacheConfig
    from diffusers.hooks import HookRegistry
    from diffusers.hooks.mag_cache import _MAG_CACHE_BLOCK_HOOK

    # one step more than there are: at the last one diffusers prints the ratios and drops them
    with _hooked(transformer, MagCacheConfig(calibrate=True, num_inference_steps=steps + 1)):
        last = HookRegistry.check_if_exists_or_initialize(transformer.transformer_blocks[-1])
        hook = last.get_hook(_MAG_CACHE_BLOCK_HOOK)

        def read() -> tuple[float, ...]:
            with transformer.cache_context(_CONTEXT):
                return tuple(hook.state_manager.get_state().calibration_ratios)

        yield read


@contextmanager
def compiled(blocks: Sequence[Any], forwards: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Each block runs its compiled forward inside, and its own again afterwards."""
    try:
        for block, forward in zip(blocks, forwards, strict=True):
            block.forward = forward
        yield
    finally:
        for block in blocks:
            vars(block).pop("forward", None)


@contextmanager
def _hooked(transformer: CogVideoXTransformer3DModel, config: Any) -> Iterator[None]:
    # diffusers says at every call that FasterCache is experimental
    log = logging.getLogger("diffusers.hooks.faster_cache")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        transformer.enable_cache(config)
    finally:
        log.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.meshgrid")  # FasterCache's call
            yield
    finally:
        transformer._reset_stateful_cache()
        transformer.disable_cache()


def _find_kind(kind: object) -> type[Acceleration]:
    if isinstance(kind, str) and kind in _REFUSED:
        raise PlanInvalid(
            f"acceleration={kind!r}: refused, it would do nothing: {_REFUSED[kind]};"
            f" allowed: {', '.join(ACCELERATIONS)}"
        )
    check_choice("acceleration", kind, ACCELERATIONS)
    return next(each for each in _KINDS if each.kind == kind)


def _make_config(acceleration: Acceleration, steps: int, timestep: Callable[[], Any]) -> Any:
    """Diffusers' settings, None where there is nothing to turn on."""
    import diffusers

    match acceleration:
        case Pab():
            return diffusers.PyramidAttentionBroadcastConfig(
                spatial_attention_block_skip_range=acceleration.every,
                spatial_attention_timestep_skip_range=(acceleration.above, acceleration.below),
                current_timestep_callback=timestep,
            )
        case FasterCache():
            return _faster_cache_config(acceleration, timestep)
        case MagCache():
            return diffusers.MagCacheConfig(
                threshold=acceleration.threshold,
                max_skip_steps=acceleration.most_skipped,
                retention_ratio=acceleration.retention,
                num_inference_steps=steps,
                mag_ratios=list(acceleration.ratios),
            )
        case FirstBlock():
            return diffusers.FirstBlockCacheConfig(threshold=acceleration.threshold)
        case NoAcceleration():
            return None


def _faster_cache_config(given: FasterCache, timestep: Callable[[], Any]) -> Any:
    from diffusers import FasterCacheConfig

    return FasterCacheConfig(
        spatial_attention_block_skip_range=given.attention_every,
        spatial_attention_timestep_skip_range=(-1, given.attention_below),
        spatial_attention_block_identifiers=("^transformer_blocks.*attn",),
        unconditional_batch_skip_range=given.branch_every,
        unconditional_batch_timestep_skip_range=(-1, given.branch_below),
        attention_weight_callback=lambda _: 0.5,
        low_frequency_weight_callback=lambda _: given.decay,
        high_frequency_weight_callback=lambda _: given.decay,
        tensor_format="BFCHW",
        current_timestep_callback=timestep,
    )
