"""Footprint: what a base and its adapter cost, known before anything is allocated or downloaded.

    preset or folder -> modules on the meta device -> parameters, bytes, FLOPs, memory, cache, wire

Parameters and bytes are exact. FLOPs count two for a multiply-add of every matrix product and
convolution of the denoiser; its element-wise work is left out. Memory is an estimate for a GPU with
fused attention: what is counted is said at each figure, and a process needs about 1 GB more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ophora_model.adapter import adapter_shapes
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.architecture import DTYPES, Architecture, Part, empty_part, read_architecture
from ophora_model.base import ALL_PARTS
from ophora_model.presets import Preset
from ophora_model.strict import check_whole

_FLOAT32 = 4  # bytes
_CACHED = 2  # bytes of what the latents cache holds, float16
_BACKWARD_OF_ATTENTION = 2.5  # of its forward: a fused kernel computes the scores again

# What autograd keeps of a block, in tensors of tokens x width. In the compute type: queries, keys,
# values, attention's output, and what goes into GELU (four wide). In float32, as autocast runs
# norms: what goes into the two norms of the block and into those of queries and keys.
_KEPT, _KEPT_FLOAT32 = 8, 4
# More of them where the layers that scale and gate are tuned: both gated and both normed outputs.
_KEPT_GATED, _KEPT_NORMED_FLOAT32 = 2, 2
# Alive for a moment while one block runs, forward or backward: what is left of the 21.8 GiB
# measured for 2b at batch 4 with checkpointing (cogvideox-factory) once all else is counted.
_PASSING = 22
# Decoding, in tensors of the widest full-size layer of nine frames: ten live at the peak (counted
# on the meta device), two for the workspace of convolutions (19 GB measured for 2b).
_DECODING = 12
_FRAMES_AT_ONCE = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSize:
    """Parameters of a part and the bytes of its weights in the type they are loaded in."""

    part: Part
    dtype: str
    parameters: int
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSize:
    """The adapter: `trained` and `frozen` parameters are those of B and A.

    `update_bytes` is one site's update on the wire: what is trained in float32, without names.
    `tuning_bytes` is A, B, B's gradient, the sum
    over patients and AdamW's two moments.
    """

    rank: int
    matrices: int
    trained: int
    frozen: int

    @property
    def update_bytes(self) -> int:
        return self.trained * _FLOAT32

    @property
    def tuning_bytes(self) -> int:
        return (self.frozen + 5 * self.trained) * _FLOAT32


@dataclass(frozen=True, slots=True, kw_only=True)
class Flops:
    """One pass of the denoiser over the batch, by kind of product. Add and scale as needed."""

    linear: float
    attention: float
    adapter: float

    @property
    def total(self) -> float:
        return self.linear + self.attention + self.adapter

    def __add__(self, other: Flops) -> Flops:
        return Flops(
            linear=self.linear + other.linear,
            attention=self.attention + other.attention,
            adapter=self.adapter + other.adapter,
        )

    def scaled(self, times: float) -> Flops:
        """Every kind times `times`."""
        return Flops(
            linear=self.linear * times,
            attention=self.attention * times,
            adapter=self.adapter * times,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on the device at the peak: weights there, adapter with its optimizer, activations."""

    weights: int
    adapter: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Everything about one base, adapter and batch. `tokens` are those of one clip and its text.

    `forward` is one pass with the adapter; a tuning step is a forward, a backward through every
    block and, `checkpointed`, every block's forward once more. `tuning` counts denoiser,
    autoencoder, adapter with optimizer and activations; `generation` counts the same weights,
    both factors and the larger of a guided denoising pass (twice the batch) and the decoding of one
    video after the other. The text encoder is in neither: it stays in the host's memory.
    """

    preset: str
    batch: int
    tokens: int
    parts: tuple[PartSize, ...]
    adapter: AdapterSize
    forward: Flops
    step: Flops
    step_checkpointed: Flops
    tuning: Memory
    tuning_checkpointed: Memory
    generation: Memory
    posterior_bytes: int  # of one clip in the latents cache
    prompt_bytes: int  # of one instruction in it


def measure_footprint(
    preset: Preset, folder: Path | None = None, *, spec: AdapterSpec | None = None, batch: int = 1
) -> Footprint:
    """The footprint of a preset, or of the base in `folder`; the adapter is the preset's own.

    Raises `PlanInvalid` for a batch below 1, `AdapterMismatch` for a target that matches nothing
    and `BaseMissing` for a folder that is no base.
    """
    check_whole("batch", batch, low=1)
    spec = spec or AdapterSpec.of_preset(preset, seed=0)
    architecture = read_architecture(preset, folder)
    modules = {part: empty_part(architecture, part) for part in ALL_PARTS}
    parts = tuple(_part_size(preset, part, module) for part, module in modules.items())
    size = _Size.of(preset, architecture, batch)
    transformer = modules["transformer"]
    adapter = _adapter_size(transformer, spec)
    forward, backward, again = _flops(transformer, spec, size)
    weights = sum(part.num_bytes for part in parts if part.part != "text")
    kept = size.kept(spec)

    def tuning(activations: int) -> Memory:
        return Memory(weights=weights, adapter=adapter.tuning_bytes, activations=activations)

    return Footprint(
        preset=preset.name,
        batch=batch,
        tokens=size.tokens,
        parts=parts,
        adapter=adapter,
        forward=forward,
        step=forward + backward,
        step_checkpointed=forward + backward + again,
        tuning=tuning(size.blocks * kept + size.passing),
        tuning_checkpointed=tuning(size.blocks * size.block_input + kept + size.passing),
        generation=Memory(
            weights=weights,
            adapter=(adapter.trained + adapter.frozen) * _FLOAT32,
            activations=max(2 * size.passing, size.decoding),
        ),
        posterior_bytes=2 * size.latent * _CACHED,
        prompt_bytes=size.text_tokens * int(architecture.transformer["text_embed_dim"]) * _CACHED,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """Sizes of one forward pass: tokens of a clip, and bytes of the batch."""

    batch: int
    blocks: int
    width: int
    text_tokens: int
    video_tokens: int
    latent: int  # numbers in one clip's latent
    num_bytes: int  # of a number in the compute type
    decoding: int

    @classmethod
    def of(cls, preset: Preset, architecture: Architecture, batch: int) -> _Size:
        config, vae = architecture.transformer, architecture.vae
        channels = vae["block_out_channels"]
        shrink = 2 ** (len(channels) - 1)
        frames = (preset.frames - 1) // int(vae["temporal_compression_ratio"]) + 1
        height, width = preset.height // shrink, preset.width // shrink
        num_bytes = DTYPES[preset.dtype].itemsize
        at_once = min(preset.frames, _FRAMES_AT_ONCE)
        wide = int(channels[1]) * at_once * preset.height * preset.width * num_bytes
        return cls(
            batch=batch,
            blocks=int(config["num_layers"]),
            width=int(config["num_attention_heads"]) * int(config["attention_head_dim"]),
            text_tokens=preset.text_length,
            video_tokens=frames * height * width // int(config["patch_size"]) ** 2,
            latent=frames * height * width * int(vae["latent_channels"]),
            num_bytes=num_bytes,
            decoding=_DECODING * wide,
        )

    @property
    def tokens(self) -> int:
        return self.text_tokens + self.video_tokens

    @property
    def block_input(self) -> int:
        return self.batch * self.tokens * self.width * self.num_bytes

    @property
    def passing(self) -> int:
        return _PASSING * self.block_input

    def kept(self, spec: AdapterSpec) -> int:
        """Bytes that autograd keeps of one block."""
        gated = any(_is_conditioning(target) for target in spec.targets)
        compute = _KEPT + _KEPT_GATED * gated
        float32 = _KEPT_FLOAT32 + _KEPT_NORMED_FLOAT32 * gated
        numbers = self.batch * self.tokens * self.width
        return numbers * (compute * self.num_bytes + float32 * _FLOAT32)


def _part_size(preset: Preset, part: Part, module: nn.Module) -> PartSize:
    dtype = "float32" if part == "text" and preset.text_source == "minilm" else preset.dtype
    parameters = sum(p.numel() for p in module.parameters())
    return PartSize(
        part=part,
        dtype=dtype,
        parameters=parameters,
        num_bytes=parameters * DTYPES[dtype].itemsize,
    )


def _adapter_size(transformer: nn.Module, spec: AdapterSpec) -> AdapterSize:
    shapes = adapter_shapes(transformer, spec)
    widths = [transformer.get_parameter(f"{name}.weight").shape[1] for name in shapes]
    kept = sum(out * spec.frozen_rank for out, _ in shapes.values())
    return AdapterSize(
        rank=spec.rank,
        matrices=len(shapes),
        trained=sum(out * spec.trained_rank for out, _ in shapes.values()),
        frozen=sum(width * spec.rank for width in widths) + kept,
    )


def _flops(transformer: nn.Module, spec: AdapterSpec, size: _Size) -> tuple[Flops, Flops, Flops]:
    """A forward, its backward, and the forward that checkpointing repeats.

    The backward passes through every layer of every block, as if a tuned one came before them all.
    """
    tuned = adapter_shapes(transformer, spec)
    attention = size.blocks * 4.0 * size.tokens**2 * size.width
    forward = Flops(linear=0.0, attention=attention, adapter=0.0)
    backward = forward.scaled(_BACKWARD_OF_ATTENTION)
    again = forward
    for name, weight, rows in _products(transformer, size):
        outside, inside = weight.shape[0], weight[0].numel()
        once = 2.0 * rows * inside * outside
        up, down = 2.0 * rows * spec.rank * outside, 2.0 * rows * spec.rank * inside
        lora = up + down if name in tuned else 0.0
        there = Flops(linear=once, attention=0.0, adapter=lora)
        forward += there
        if name in tuned:  # the gradient of B; A has none
            share = spec.trained_rank / spec.rank
            backward += Flops(linear=0.0, attention=0.0, adapter=up * share)
        if _passes_gradient(name):
            backward += there
        if name.startswith("transformer_blocks."):
            again += there
    batch = size.batch
    return forward.scaled(batch), backward.scaled(batch), again.scaled(batch)


def _products(transformer: nn.Module, size: _Size) -> Iterator[tuple[str, Tensor, int]]:
    """Name, weight and rows per clip of every linear layer, and of the patches' convolution."""
    for name, module in transformer.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield name, module.weight, _rows(name, size)


def _rows(name: str, size: _Size) -> int:
    if _is_conditioning(name) or name.startswith("time_embedding."):
        return 1  # of the timestep alone
    if name.endswith("text_proj"):
        return size.text_tokens
    if name in ("proj_out", "patch_embed.proj"):
        return size.video_tokens
    return size.tokens


def _passes_gradient(name: str) -> bool:
    """Whether what goes into the layer depends on a tuned one: not latents, texts, timesteps."""
    return name == "proj_out" or ".attn1." in name or ".ff." in name


def _is_conditioning(name: str) -> bool:
    """The layers that make scales, shifts and gates of the timestep."""
    return name.endswith(("norm1.linear", "norm2.linear", "norm_out.linear"))
