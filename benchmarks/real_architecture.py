"""One tuning step of cogvideox-2b at its real architecture, with random weights on the CPU.

    random base in bfloat16 -> saved in shards, checked -> rank-16 adapter -> one checkpointed step
        -> release written, read, loaded again -> the same velocity

Weights are random, so nothing here says anything about quality: it shows that the code runs at the
real depth and width, in how much memory, and that what is saved is what is loaded. The clip is
9 x 64 x 64. --quick leaves out saving and checking the base (4 GB of disk).

    python benchmarks/real_architecture.py [--quick] [--check] [--json FILE] [--seed 1]
"""

import math
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from goals import Goal, make_parser, report
from ophora_model.adapter import Adapter, attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.architecture import Architecture, make_scheduler, random_part, read_architecture
from ophora_model.base import Base
from ophora_model.base_check import BaseReport, check_base
from ophora_model.objective import diffusion_loss
from ophora_model.presets import Preset, find_preset
from ophora_model.release import read_release, write_release

RANK = 16
_LATENT_BTCHW = (1, 3, 16, 8, 8)
_NO_FINGERPRINT = "0" * 64


def main() -> int:
    """Build, tune, save, load, print; the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    preset = find_preset("cogvideox-2b")
    architecture = read_architecture(preset)
    rows: list[Goal] = []
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        transformer = random_part(architecture, "transformer", torch.bfloat16, seed=arguments.seed)
        rows.append(_plain("seconds to build the denoiser", time.monotonic() - began))
        fingerprint = _NO_FINGERPRINT
        if not arguments.quick:
            began = time.monotonic()
            checked = save_and_check(preset, architecture, transformer, Path(folder, "base"))
            fingerprint = checked.fingerprint
            rows.append(_plain("seconds to save and check the base", time.monotonic() - began))
            rows.append(
                Goal(
                    what="parameters of the checked base",
                    measured=checked.num_parameters,
                    samples=checked.num_tensors,
                    at_least=1_909_367_779,
                    at_most=1_909_367_779,
                )
            )
        base = Base(
            preset=preset,
            fingerprint=fingerprint,
            device=torch.device("cpu"),
            compute=torch.bfloat16,
            scheduler=make_scheduler(architecture),
            transformer=transformer,
        )
        spec = AdapterSpec(rank=RANK, alpha=RANK, targets=preset.lora_targets, seed=arguments.seed)
        adapter = attach_adapter(base.transformer, spec)
        began = time.monotonic()
        finite = take_step(base, adapter, arguments.seed)
        rows.append(_plain("seconds of a checkpointed step", time.monotonic() - began))
        rows.append(_share("figures of the step that are finite", finite))
        began = time.monotonic()
        exact = round_trip(base, adapter, spec, Path(folder, "release"))
        rows.append(_plain("seconds of the round trip", time.monotonic() - began))
        rows.append(_share("round trip: tensors and velocity that are equal", exact))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    rows.append(Goal(what="peak of resident memory, GB", measured=peak, samples=1, at_most=16.0))
    return report(rows, arguments)


def save_and_check(
    preset: Preset, architecture: Architecture, transformer: Any, folder: Path
) -> BaseReport:
    """The base as a folder in shards, without text encoder, verified tensor by tensor."""
    transformer.save_pretrained(folder / "transformer", max_shard_size="1GB")
    vae: Any = random_part(architecture, "vae", torch.bfloat16, seed=0)
    vae.save_pretrained(folder / "vae")
    make_scheduler(architecture).save_pretrained(folder / "scheduler")
    return check_base(preset, folder, parts=("transformer", "vae"))


def take_step(base: Base, adapter: Adapter, seed: int) -> list[bool]:
    """One checkpointed AdamW step on a random clip; whether loss, gradients, factors are finite."""
    transformer: Any = base.transformer
    transformer.enable_gradient_checkpointing()
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randn(_LATENT_BTCHW, generator=generator)
    prompt = torch.randn(1, base.preset.text_length, 4096, generator=generator)
    parameters = adapter.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    with base.autocast():
        loss = diffusion_loss(transformer, base.scheduler, clean, prompt, generator)
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad()
    values = [*gradients, *parameters]
    return [math.isfinite(loss.item()), *(bool(torch.isfinite(v).all()) for v in values)]


def round_trip(base: Base, adapter: Adapter, spec: AdapterSpec, folder: Path) -> list[bool]:
    """Write, read, load: whether each tensor, and the denoiser's answer, is what it was."""
    tuned = adapter.read()
    before = velocity(base)
    write_release(
        folder,
        preset=base.preset.name,
        base_fingerprint=base.fingerprint,
        adapter=spec,
        tensors=tuned,
        stage="tpt",
        round=1,
    )
    adapter.write({name: np.zeros_like(value) for name, value in tuned.items()})
    loaded = read_release(folder).tensors
    adapter.write(loaded)
    equal = [np.array_equal(value, loaded[name]) for name, value in tuned.items()]
    return [*equal, any(np.any(v) for v in loaded.values()), torch.equal(before, velocity(base))]


@torch.no_grad()
def velocity(base: Base) -> torch.Tensor:
    """The denoiser's answer to a fixed latent and text."""
    transformer: Any = base.transformer
    generator = torch.Generator().manual_seed(0)
    with base.autocast():
        answer: torch.Tensor = transformer(
            hidden_states=torch.randn(_LATENT_BTCHW, generator=generator),
            encoder_hidden_states=torch.randn(
                1, base.preset.text_length, 4096, generator=generator
            ),
            timestep=torch.tensor([500]),
            return_dict=False,
        )[0]
    return answer


def _share(what: str, held: list[bool]) -> Goal:
    return Goal(what=what, measured=sum(held) / len(held), samples=len(held), at_least=1.0)


def _plain(what: str, seconds: float) -> Goal:
    return Goal(what=what, measured=seconds, samples=1)


if __name__ == "__main__":
    sys.exit(main())
