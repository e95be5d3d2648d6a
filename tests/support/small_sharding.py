"""A small training run as one of two processes that hold a part of the base each."""

import dataclasses
import os
import warnings

import numpy as np
import torch

from ophora_model.latents import CachedClip
from ophora_model.sharding import held_bytes, shard_base
from ophora_model.training import train, validation_loss
from small_training import prepared, small_plan


def train_sharded(rank: int, port: int, clips: list[CachedClip], spec, out: str) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    torch.set_num_threads(1)
    from accelerate import Accelerator
    from torch.distributed.device_mesh import init_device_mesh

    accelerator = Accelerator(cpu=True)
    base, adapter = prepared(spec)
    base = dataclasses.replace(base, compute=torch.float32)
    whole = held_bytes(base.transformer)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        shard_base(base.transformer, mesh=init_device_mesh("cpu", (2,)))
        part = held_bytes(base.transformer)
        plan = small_plan(gradient_checkpointing=True)
        result = train(base, adapter, clips, plan, accelerator=accelerator)
        after = validation_loss(base, clips[:1], draws=1)
    figures = {"bytes": [whole, part, held_bytes(base.transformer)], "after": after}
    np.savez(f"{out}{rank}.npz", loss=result.losses, **figures, **result.tensors)
    accelerator.end_training()
