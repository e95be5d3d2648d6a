"""A small training run, alone or as one of two processes that share it."""

import dataclasses
import os

import numpy as np
import torch

from ophora_model.adapter import attach_adapter
from ophora_model.base import load_base
from ophora_model.latents import CachedClip
from ophora_model.presets import find_preset
from ophora_model.training import train
from ophora_model.training_plan import TrainingPlan

STEPS = 4


def small_plan(**changed):
    values = {
        "stage": "tpt", "steps": STEPS, "batch_size": 2, "accumulation": 2,
        "learning_rate": 1e-2, "warmup_steps": 1, "ema_decay": 0.5, "intervals": 2,
    }  # fmt: skip
    return TrainingPlan(**{**values, **changed})


def prepared(spec):
    base = load_base(find_preset("tiny"), parts=("transformer",))
    return base, attach_adapter(base.transformer, spec)


def train_as_one_of_two(rank: int, port: int, clips: list[CachedClip], spec, out: str) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    torch.set_num_threads(1)
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    base, adapter = prepared(spec)
    base = dataclasses.replace(base, compute=torch.float32)
    result = train(base, adapter, clips, small_plan(), accelerator=accelerator)
    if rank == 0:
        np.savez(out, loss=np.array(result.losses), **result.tensors)
    accelerator.end_training()
