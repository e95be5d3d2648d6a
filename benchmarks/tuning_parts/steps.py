"""What a cached step costs beside its bare arithmetic, and what the cache saves.

Bare: forward, backward and AdamW of the same denoiser, adapter and batch on tensors that are there
already, lean as ours or as diffusers and peft come. Ours: `training.train`, from cached latents,
with every draw and check. Uncached: the same, and for each clip of each step what a step without a
cache has to do: decode the file, encode the pixels, embed the instruction; nothing is sealed,
stored or hashed. CPU seconds of one thread, interleaved in one run; the median of the rounds.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from goals import Goal
from ophora_model.lean import lean
from ophora_model.objective import denoising_losses
from ophora_model.training import train
from tuning_parts.material import BATCH, adapter_on, cached, films, fresh_base, passed, plan

MOST_OVER_BARE = 1.10
LEAST_SAVED = 5.0


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Ways to take the same step, in turns."""
    steps, rounds = (4, 3) if quick else (12, 7)
    base = fresh_base()
    sources = films(folder / "clips", number=8, seed=seed)
    clips = cached(base, sources)
    adapter = adapter_on(base)
    parameters = adapter.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    shape = (BATCH, *clips[0].mean_TCHW.shape)
    clean, noise = torch.randn(shape), torch.randn(shape)
    prompt = torch.stack([clip.prompt_LD.float() for clip in clips[:BATCH]])
    times = torch.randint(0, 1000, (BATCH,))

    def bare() -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with base.autocast():
                losses = denoising_losses(
                    base.transformer, base.scheduler, clean, prompt, noise, times
                )
            losses.mean().backward()
            optimizer.step()

    def bare_lean() -> None:
        with lean(base.transformer, base.compute):
            bare()

    def ours() -> None:
        train(base, adapter, clips, plan(steps=steps))

    def preparing() -> None:
        for _ in range(steps):
            passed(base, sources[:BATCH])

    spent = _in_turns([bare_lean, ours, bare, preparing], rounds)
    lean_s, ours_s, bare_s, preparing_s = (statistics.median(times) / steps for times in spent)
    samples = steps * rounds
    return [
        Goal(
            what="cached step over bare forward, backward and optimizer, lean as ours",
            measured=statistics.median(b / a for a, b in zip(spent[0], spent[1], strict=True)),
            samples=samples,
            at_most=MOST_OVER_BARE,
        ),
        Goal(
            what="cached step over the same as diffusers and peft run it",
            measured=statistics.median(b / a for a, b in zip(spent[2], spent[1], strict=True)),
            samples=samples,
        ),
        Goal(
            what="uncached step over cached step",
            measured=1 + preparing_s / ours_s,
            samples=samples,
            at_least=LEAST_SAVED,
        ),
        Goal(what="bare step, lean, CPU ms", measured=1000 * lean_s, samples=samples),
        Goal(what="bare step, diffusers and peft, CPU ms", measured=1000 * bare_s, samples=samples),
        Goal(what="cached step, CPU ms", measured=1000 * ours_s, samples=samples),
        Goal(
            what="decoding, encoding, embedding for a step, CPU ms",
            measured=1000 * preparing_s,
            samples=samples,
        ),
    ]


def _in_turns(ways: list[Callable[[], None]], rounds: int) -> list[list[float]]:
    """CPU seconds of each way in each round; the first round warms up and is not counted."""
    spent: list[list[float]] = [[] for _ in ways]
    for number in range(rounds + 1):
        for way, times in zip(ways, spent, strict=True):
            start_s = time.process_time()
            way()
            if number:
                times.append(time.process_time() - start_s)
    return spent
