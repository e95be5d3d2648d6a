"""Sharding: the frozen base spread over the processes of a training run, the adapter whole in each.

    base with adapter -> each block's weights cut in as many parts as processes -> gathered block by
    block while it runs, forward and backward, and dropped again

Only the base is large and it has no gradients, so torch's FSDP2 does nothing here but gather; what
is trained stays an ordinary parameter, whose gradients training.py averages with or without this.
A matter of memory and speed: the result is that of the unsharded base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophora_model.errors import AdapterMismatch, PlanInvalid

if TYPE_CHECKING:
    from torch import nn
    from torch.distributed.device_mesh import DeviceMesh


def shard_base(transformer: nn.Module, *, mesh: DeviceMesh) -> None:
    """Leaves each process of the mesh its part of the base's weights, in place.

    Call it in every process, on equal weights, after the adapter was attached and before the first
    forward; from then on every forward is one of all processes together, also without gradients.
    Weights that lie elsewhere, as on the CPU, come to the mesh's devices block by block, each cut
    before the next comes; the adapter comes whole, in the same parameters.
    A mesh of two dimensions is copies of shards. Raises `PlanInvalid` for a mesh of one process and
    `AdapterMismatch` where no adapter is attached, since none can be afterwards.
    """
    from torch.distributed.fsdp import fully_shard

    if mesh.size() < 2:
        raise PlanInvalid(
            "shard: one process has nothing to share; start several with"
            " `torchrun --nproc-per-node N`"
        )
    adapter = {value for name, value in transformer.named_parameters() if ".lora_" in name}
    if not adapter:
        raise AdapterMismatch("shard: attach the adapter to the base first")
    blocks: Any = transformer.get_submodule("transformer_blocks")
    for block in blocks:
        fully_shard(block, mesh=mesh, ignored_params=adapter)
    transformer.register_forward_hook(_own_storage)  # before the hooks of FSDP
    # dropped after a forward as well: by default it keeps what lies outside the blocks
    fully_shard(transformer, mesh=mesh, ignored_params=adapter, reshard_after_forward=True)
    for factor in adapter:  # FSDP leaves what it ignores where it is
        factor.data = factor.data.to(mesh.device_type)


def held_bytes(transformer: nn.Module) -> int:
    """Bytes of the weights that this process holds while nothing runs."""
    from torch.distributed.tensor import DTensor

    values = [p.to_local() if isinstance(p, DTensor) else p for p in transformer.parameters()]
    return sum(value.numel() * value.element_size() for value in values)


def _own_storage(module: nn.Module, inputs: Any, output: Any) -> Any:
    """The denoiser ends in a view; changed in place it would lose the hook of its backward."""
    from torch import Tensor
    from torch.utils._pytree import tree_map_only

    return tree_map_only(Tensor, lambda value: value.clone(), output)
