"""Speed and error of our sampling against plain diffusers, on the tiny preset's latents.

Plain is diffusers' own CogVideoXPipeline with the same base, record, precision and one thread; it
encodes prompt and empty prompt as that pipeline does. Speed is CPU time, the least of several runs
that take turns, decoding left out. The error is the L2 distance of the latents over their norm,
mean and worst over prompts and seeds. `chosen` is what a record has unless it is told otherwise;
`none` runs every step in full, and is to be plain's result bit for bit. The last rows say what
precision alone does: plain in float32 against plain as it is run here.

    OMP_NUM_THREADS=1 python benchmarks/sampling.py [--quick] [--check] [--json FILE]
                      [--runs 9] [--seeds 3] [--compiled]
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from diffusers import CogVideoXPipeline
from torch import Tensor

from goals import Goal, make_parser, report, share
from ophora_model.acceleration import Acceleration, FasterCache, FirstBlock, NoAcceleration, Pab
from ophora_model.base import Base, load_base
from ophora_model.presets import find_preset
from ophora_model.sampling import Generator, SamplerRecord

STEPS = (16, 50)  # of the preset; of the paper's size
PROMPTS = (
    "a red disc moves to the left",
    "two blue bars turn on a white ground",
    "an instrument enters the eye from the right",
    "white letters on black",
    "a small green square falls, then rests",
    "a bright ring grows on a mottled ground",
)
KINDS: tuple[Acceleration, ...] = (
    FasterCache(branch_every=2, branch_below=450, decay=0.8),
    FasterCache(branch_every=4, branch_below=450),
    FasterCache(branch_every=3, branch_below=640, decay=0.8),
    FasterCache(attention_every=2),
    Pab(every=2, above=100, below=800),
    Pab(every=2, above=0, below=200),
    FirstBlock(threshold=0.05),
    FirstBlock(threshold=0.2),
)


def main() -> int:
    """Sample, compare, print; the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--runs", type=int, help="of each timing; default 9, quick 3")
    parser.add_argument("--seeds", type=int, help="for each prompt; default 3, quick 1")
    parser.add_argument("--compiled", action="store_true", help="measure compiled records as well")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base = load_base(find_preset("tiny"))
    goals = []
    for steps in STEPS:
        goals += Comparison(base, steps, arguments).rows()
    return report(goals, arguments)


class Comparison:
    """Everything at one number of steps against plain diffusers."""

    def __init__(self, base: Base, steps: int, arguments: argparse.Namespace) -> None:
        self._base, self._generator = base, Generator(base)
        self._runs = arguments.runs or (3 if arguments.quick else 9)
        self._compile = arguments.compiled
        seeds = arguments.seeds or (1 if arguments.quick else 3)
        prompts = PROMPTS[:3] if arguments.quick else PROMPTS
        self._chosen = SamplerRecord.of_preset(base.preset, seed=0, steps=steps)
        self._none = replace(self._chosen, acceleration=NoAcceleration())
        self._jobs = [(prompt, 100 * seed) for seed in range(seeds) for prompt in prompts]
        self._expected = [
            plain_latents(base, prompt, replace(self._none, seed=seed))
            for prompt, seed in self._jobs
        ]

    def rows(self) -> list[Goal]:
        """The chosen one with its goals, one for identical records, all others for comparison."""
        name = f"{self._none.steps} steps"
        made, again = self._sample(self._chosen), self._sample(self._chosen)
        found = self._compare("chosen", self._chosen, made, at_least=1.4, at_most=1.0)
        found.append(_same(f"{name}: equal records, equal latents", made, again))
        whole = self._sample(self._none)
        found.append(_same(f"{name}: none, plain's latents bit for bit", whole, self._expected))
        found += self._compare("none", self._none, whole)
        calibrated = self._generator.calibrate(PROMPTS, self._none)
        for acceleration in (*KINDS, calibrated, replace(calibrated, retention=0.6)):
            record = replace(self._none, acceleration=acceleration)
            found += self._compare(_label(acceleration), record, self._sample(record))
        if self._compile:
            for label, record in (("none", self._none), ("chosen", self._chosen)):
                compiled = replace(record, compile=True)
                found += self._compare(f"{label}, compiled", compiled, self._sample(compiled))
        return found + self._precision()

    def _compare(
        self,
        label: str,
        record: SamplerRecord,
        made: Sequence[Tensor],
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> list[Goal]:
        name = f"{record.steps} steps: {label}"
        speed = Goal(
            what=f"{name}, times as fast",
            measured=self._speed(lambda: self._generator.sample_latents(PROMPTS[:1], record)),
            samples=self._runs,
            at_least=at_least,
        )
        return [speed, *_errors(name, made, self._expected, at_most)]

    def _precision(self) -> list[Goal]:
        """What rounding alone does, where this machine does not compute in float32 anyway."""
        if self._base.compute == torch.float32:
            return []
        exact, record = replace(self._base, compute=torch.float32), self._none
        made = [
            plain_latents(exact, prompt, replace(record, seed=seed)) for prompt, seed in self._jobs
        ]
        name = f"{record.steps} steps: plain in float32"
        speed = Goal(
            what=f"{name}, times as fast",
            measured=self._speed(lambda: plain_latents(exact, PROMPTS[0], record)),
            samples=self._runs,
        )
        return [speed, *_errors(name, made, self._expected, None)]

    def _sample(self, record: SamplerRecord) -> list[Tensor]:
        return [
            self._generator.sample_latents([prompt], replace(record, seed=seed))
            for prompt, seed in self._jobs
        ]

    def _speed(self, other: Callable[[], object]) -> float:
        """Plain over the other; the two take turns, so that both meet the same load."""
        spent: tuple[list[float], list[float]] = ([], [])
        ways = (lambda: plain_latents(self._base, PROMPTS[0], self._none), other)
        for _ in range(self._runs):
            for way, times in zip(ways, spent, strict=True):
                began = time.process_time()
                way()
                times.append(time.process_time() - began)
        return min(spent[0]) / min(spent[1])


@torch.no_grad()
def plain_latents(base: Base, prompt: str, record: SamplerRecord) -> Tensor:
    """What diffusers' own pipeline makes of the base, [1, T, C, H, W]."""
    pipeline = CogVideoXPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=base.vae,
        transformer=base.transformer,
        scheduler=base.scheduler,
    )
    pipeline.set_progress_bar_config(disable=True)
    prompted, unprompted = base.encode_text([prompt]), base.encode_text([""])
    with base.autocast():
        made: Tensor = pipeline(
            prompt_embeds=prompted,
            negative_prompt_embeds=unprompted,
            height=record.height,
            width=record.width,
            num_frames=record.frames,
            num_inference_steps=record.steps,
            guidance_scale=record.guidance,
            use_dynamic_cfg=record.dynamic_guidance,
            generator=torch.Generator().manual_seed(record.seed),
            max_sequence_length=base.preset.text_length,
            output_type="latent",
        ).frames
    return made


def _same(what: str, made: Sequence[Tensor], others: Sequence[Tensor]) -> Goal:
    pairs = zip(made, others, strict=True)
    return share(what, sum(torch.equal(a, b) for a, b in pairs), len(made))


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
