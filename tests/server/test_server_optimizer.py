"""The coordinator's optimizers against torch's own, their state, and what is refused."""

import numpy as np
import pytest
import torch

from ophora_model.errors import PlanInvalid
from ophora_server.server_optimizer import ServerOptimizer, ServerOptimizerSettings

MEANS = [np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32) for seed in range(5)]


def _moved(settings: ServerOptimizerSettings, *, cut: bool) -> np.ndarray:
    """Where the steps end that are taken one after the other, by one object or by one each."""
    place, optimizer = np.zeros((3, 4), np.float32), ServerOptimizer(settings)
    for mean in MEANS:
        place = place + optimizer.step({"layer": mean})["layer"]
        if cut:
            optimizer = ServerOptimizer(settings, optimizer.state())
    return place


def _torch(kind: type[torch.optim.Optimizer], **values: object) -> np.ndarray:
    parameter = torch.nn.Parameter(torch.zeros(3, 4))
    optimizer = kind([parameter], **values)  # type: ignore[arg-type]
    for mean in MEANS:
        parameter.grad = -torch.from_numpy(mean)
        optimizer.step()
    return parameter.detach().numpy()


@pytest.mark.parametrize("cut", [False, True])
def test_adam_and_momentum_are_torchs_own_with_the_mean_as_minus_the_gradient(cut: bool) -> None:
    adam = ServerOptimizerSettings(kind="adam", learning_rate=0.1, tau=1e-3)
    wanted = _torch(torch.optim.Adam, lr=0.1, betas=(0.9, 0.99), eps=1e-3)
    assert np.allclose(_moved(adam, cut=cut), wanted, rtol=1e-5)
    momentum = ServerOptimizerSettings(kind="momentum", learning_rate=0.5, beta1=0.8)
    wanted = _torch(torch.optim.SGD, lr=0.5, momentum=0.8)
    assert np.allclose(_moved(momentum, cut=cut), wanted, rtol=1e-5)


def test_none_adds_the_mean_and_keeps_nothing() -> None:
    optimizer = ServerOptimizer(ServerOptimizerSettings())
    mean = {"layer": MEANS[0]}
    assert optimizer.step(mean) is mean
    assert optimizer.state() is None


def test_the_state_of_another_kind_starts_it_anew() -> None:
    momentum = ServerOptimizer(ServerOptimizerSettings(kind="momentum"))
    momentum.step({"layer": MEANS[0]})
    adam = ServerOptimizerSettings(kind="adam")
    moved = ServerOptimizer(adam, momentum.state()).step({"layer": MEANS[1]})
    fresh = ServerOptimizer(adam).step({"layer": MEANS[1]})
    assert np.array_equal(moved["layer"], fresh["layer"])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"kind": "lion"}, "server_optimizer.kind='lion'"),
        ({"kind": "adam", "learning_rate": 0}, "learning_rate=0"),
        ({"beta1": 1.0}, "beta1=1.0"),
        ({"tau": 0}, "tau=0"),
        ({"momentum": 0.9}, "server_optimizer.momentum"),
    ],
)
def test_bad_settings_are_refused_by_name(given: dict[str, object], named: str) -> None:
    with pytest.raises(PlanInvalid, match=named):
        ServerOptimizerSettings.from_dict(given)
