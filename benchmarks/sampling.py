"""Speed and error of accelerated sampling against plain diffusers, on the tiny preset's latents.

Plain is diffusers' own pipeline in the same precision. Speed is CPU time with one thread, the least
of several runs that take turns, decoding left out. The error is the L2 distance of the latents over
their norm, mean and worst over prompts and seeds. `chosen` is what is to be used where speed
matters. Two rows say what the precision alone costs: plain float32 against plain bfloat16.

    OMP_NUM_THREADS=1 python benchmarks/sampling.py [--quick] [--check] [--json FILE]
                      [--runs 7] [--seeds 3] [--not-compiled]
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from goals import Goal, make_parser, report, share
from ophora_model.acceleration import Acceleration, FasterCache, FirstBlock, NoAcceleration, Pab
from ophora_model.base import load_base
from ophora_model.presets import find_preset
from ophora_model.sampling import Generator, SamplerRecord

STEPS = (16, 50)
PROMPTS = (
    "a red disc moves to the left",
    "two blue bars turn on a white ground",
    "an instrument enters the eye from the right",
    "white letters on black",
    "a small green square falls, then rests",
    "a bright ring grows on a mottled ground",
)
KINDS: tuple[Acceleration, ...] = (
    Pab(every=2, above=100, below=800),
    Pab(every=2, above=0, below=200),
    FasterCache(branch_every=2, branch_below=450),
    FasterCache(branch_every=5, branch_below=720),
    FasterCache(attention_every=2),
    FirstBlock(threshold=0.05),
    FirstBlock(threshold=0.2),
)
CHOSEN = {16: FasterCache(), 50: FasterCache()}


def main() -> int:
    """Sample, compare, print; the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--runs", type=int, help="of each timing; default 7, quick 3")
    parser.add_argument("--seeds", type=int, help="for each prompt; default 3, quick 1")
    parser.add_argument("--not-compiled", action="store_true", help="leave compilation out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = Generator(load_base(find_preset("tiny")))
    goals = []
    for steps in STEPS:
        goals += Comparison(generator, steps, arguments).rows()
    return report(goals, arguments)


class Comparison:
    """Everything at one number of steps against plain diffusers."""

    def __init__(self, generator: Generator, steps: int, arguments: argparse.Namespace) -> None:
        self._generator = generator
        self._runs = arguments.runs or (3 if arguments.quick else 7)
        self._compile = not arguments.not_compiled
        seeds = arguments.seeds or (1 if arguments.quick else 3)
        prompts = PROMPTS[:3] if arguments.quick else PROMPTS
        self._plain = SamplerRecord.of_preset(find_preset("tiny"), seed=0, steps=steps)
        self._jobs = [(prompt, 100 * seed) for seed in range(seeds) for prompt in prompts]
        self._expected = self._sample(generator, self._plain)

    def rows(self) -> list[Goal]:
        """The chosen one with its goals, one for identical records, all others for comparison."""
        steps = self._plain.steps
        chosen = replace(self._plain, acceleration=CHOSEN[steps], compile=self._compile)
        found = self._compare("chosen", chosen, at_least=1.4, at_most=1.0)
        first, second = self._sample(self._generator, chosen), self._sample(self._generator, chosen)
        same = sum(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        found.append(share(f"{steps} steps: equal records, equal latents", same, len(first)))
        if self._compile:
            found += self._compare("compiled", replace(self._plain, compile=True))
        calibrated = self._generator.calibrate(PROMPTS, self._plain)
        others = (CHOSEN[steps], *KINDS, calibrated, replace(calibrated, retention=0.6))
        for acceleration in others:
            record = replace(self._plain, acceleration=acceleration)
            found += self._compare(_label(acceleration), record)
        return found + self._precision()

    def _compare(
        self,
        label: str,
        record: SamplerRecord,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> list[Goal]:
        name = f"{record.steps} steps: {label}"
        made = self._sample(self._generator, record)  # compiles, where that is asked for
        speed = Goal(
            what=f"{name}, times as fast",
            measured=self._speed(record),
            samples=self._runs,
            at_least=at_least,
        )
        return [speed, *_errors(name, made, self._expected, at_most)]

    def _precision(self) -> list[Goal]:
        """What rounding alone does, where this machine does not compute in float32 anyway."""
        base = self._generator.base
        if base.compute == torch.float32:
            return []
        exact = Generator(replace(base, compute=torch.float32))
        made = self._sample(exact, replace(self._plain, compute="float32"))
        return _errors(f"{self._plain.steps} steps: plain in float32", made, self._expected, None)

    def _sample(self, generator: Generator, record: SamplerRecord) -> list[Tensor]:
        return [
            generator.sample_latents([prompt], replace(record, seed=seed))
            for prompt, seed in self._jobs
        ]

    def _speed(self, record: SamplerRecord) -> float:
        """Plain over accelerated; the two take turns, so that both meet the same load."""
        plain, other = [], []
        for _ in range(self._runs):
            plain.append(self._seconds(self._plain))
            other.append(self._seconds(record))
        return min(plain) / min(other)

    def _seconds(self, record: SamplerRecord) -> float:
        began = time.process_time()
        self._generator.sample_latents(PROMPTS[:1], record)
        return time.process_time() - began


def _errors(
    name: str, made: Sequence[Tensor], expected: Sequence[Tensor], at_most: float | None
) -> list[Goal]:
    pairs = zip(made, expected, strict=True)
    errors = [100 * float((a - b).norm() / b.norm()) for a, b in pairs]
    mean = sum(errors) / len(errors)
    return [
        Goal(what=f"{name}, mean error %", measured=mean, samples=len(errors), at_most=at_most),
        Goal(what=f"{name}, worst error %", measured=max(errors), samples=len(errors)),
    ]


def _label(acceleration: Acceleration) -> str:
    match acceleration:
        case Pab():
            window = f"{acceleration.above}-{acceleration.below}"
            return f"pab every {acceleration.every} in {window}"
        case FasterCache():
            words = f"fastercache every {acceleration.branch_every} < {acceleration.branch_below}"
            attention = acceleration.attention_every
            return words + (f", attention every {attention}" if attention > 1 else "")
        case FirstBlock():
            return f"firstblock {acceleration.threshold}"
        case NoAcceleration():
            return "none"
        case _:
            return f"magcache, none in the first {acceleration.retention:.0%}"


if __name__ == "__main__":
    sys.exit(main())
