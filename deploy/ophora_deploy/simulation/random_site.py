"""A site that tunes nothing: a random update of the announced shapes, to study the coordinator.

There is no policy, ledger or clip; plan, egress and message are those of a real site, so that the
coordinator verifies and adds up what it always does.
"""

from __future__ import annotations

import hashlib
import math
import time
import zlib

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from ophora_client.egress import outgoing_update, pack
from ophora_model.round_plan import RoundPlan
from ophora_model.stacking import trained_shapes
from ophora_model.update import Shapes
from ophora_privacy.ledger_head import LedgerReceipt
from ophora_privacy.plan import PrivacyPlan

_NORM = 1.0


def random_answer(message: Message, code: str, *, seed: int) -> Message:
    """An update of L2 norm 1 that follows from seed, site and round."""
    began = time.monotonic()
    plan = RoundPlan.from_json(str(message.content.config_records["plan"]["plan"]))
    arrays = message.content.array_records["adapter"]
    sent = {name: tuple(array.shape) for name, array in arrays.items()}
    announced = trained_shapes(sent, plan.adapter)
    delta = PrivacyPlan.from_dict(plan.privacy).delta
    outgoing = outgoing_update(
        _random_update(announced, [seed, plan.round, zlib.crc32(code.encode())]),
        {
            "steps": 0,
            "seconds": float(math.ceil(time.monotonic() - began)),
            "epsilon": math.inf,
            "delta": delta,
        },
        announced=announced,
        share_loss=False,
        receipt=_receipt(code, plan.round, delta),
    )
    return Message(pack(outgoing), reply_to=message)


def _random_update(shapes: Shapes, stream: list[int]) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(stream)
    scale = np.float32(_NORM / math.sqrt(sum(math.prod(shape) for shape in shapes.values())))
    return {
        name: rng.standard_normal(shapes[name], dtype=np.float32) * scale for name in sorted(shapes)
    }


def _receipt(code: str, number: int, delta: float) -> str:
    """As of a ledger that gained an entry in each round, the same where a round is run again."""
    return LedgerReceipt(
        ledger_id=hashlib.sha256(code.encode()).hexdigest()[:32],
        seq=number,
        head_hash=hashlib.sha256(f"{code}/{number}".encode()).hexdigest(),
        epsilon=math.inf,
        delta=delta,
    ).to_json()
