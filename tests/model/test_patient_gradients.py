"""Rows by patient: both paths are the plain loop, one patient moves the sum by its clip norm."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ophora_model import patient_gradients
from ophora_model.adapter import ADAPTER_NAME, attach_adapter
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.architecture import make_scheduler, random_part, read_architecture
from ophora_model.base import Base, load_base
from ophora_model.errors import AdapterMismatch, BaseMissing
from ophora_model.patient_gradients import PatientGradients
from ophora_model.presets import find_preset
from ophora_model.training_draws import Place, losses_of
from ophora_privacy.errors import NonFiniteGradient
from ophora_privacy.mechanism import PatientSum, clip_gradients
from ophora_privacy.performance import PerformanceSettings
from ophora_privacy.plan import PrivacyPlan

NAMES = ("tiny", "cogvideox-2b", "cogvideox-5b")
SETTINGS = (
    PerformanceSettings(path="vectorised"),
    PerformanceSettings(path="one-by-one"),
    PerformanceSettings(path="auto", micro_batch=3),
    PerformanceSettings(path="vectorised", micro_batch=2),
)
SMALL = {
    "num_attention_heads": 2,
    "num_layers": 2,
    "time_embed_dim": 16,
    "text_embed_dim": 24,
    "max_text_seq_length": 5,
    "sample_frames": 5,
    "sample_height": 8,
    "sample_width": 8,
}
CLIP_NORM = 1e-3  # below the norm of most rows here, so that clipping is at work
QUIET = PrivacyPlan(
    clip_norm=CLIP_NORM,
    noise_multiplier=0.0,
    sampling_rate=1.0,
    steps_per_round=1,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=1.0,
)
few = settings(
    deadline=None, max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
counts = st.lists(st.integers(1, 2), min_size=1, max_size=3)


class Case:
    """A base in float32 with an adapter whose B is not zero, and places on it."""

    def __init__(self, name):
        preset = find_preset(name)
        if name == "tiny":
            base = load_base(preset, parts=("transformer",))
        else:
            published = read_architecture(preset)
            architecture = dataclasses.replace(
                published, transformer={**published.transformer, **SMALL}
            )
            base = Base(
                preset=preset,
                fingerprint="0" * 64,
                device=torch.device("cpu"),
                compute=torch.float32,
                scheduler=make_scheduler(architecture),
                transformer=random_part(architecture, "transformer", torch.float32, seed=1),
            )
        self.base = dataclasses.replace(base, compute=torch.float32)
        targets = find_preset("tiny").lora_targets  # every linear layer, whichever base
        stacked = 2 * (name == "cogvideox-5b")  # columns that are there but not trained
        spec = AdapterSpec(rank=4, alpha=8.0, targets=targets, seed=3, frozen_rank=stacked)
        self.adapter = attach_adapter(base.transformer, spec)
        rng = np.random.default_rng(0)
        self.adapter.write(
            {
                layer: rng.normal(0, 0.05, shape).astype(np.float32)
                for layer, shape in self.adapter.shapes().items()
            }
        )

    def patients(self, counts, *, seed=0):
        """Places of as many patients; a patient's own depend on its number and the seed."""
        config = self.base.transformer.config
        patients = []
        for number, count in enumerate(counts):
            generator = torch.Generator().manual_seed(100 * seed + number)
            shape = (2, config.in_channels, 4, 6)
            text = (config.max_text_seq_length, config.text_embed_dim)
            patients.append(
                [
                    Place(
                        clean_TCHW=torch.randn(shape, generator=generator),
                        noise_TCHW=torch.randn(shape, generator=generator),
                        prompt_LD=torch.randn(text, generator=generator),
                        timestep=int(torch.randint(0, 900, (), generator=generator)),
                    )
                    for _ in range(count)
                ]
            )
        return patients

    def checkpointing(self, on):
        transformer = self.base.transformer
        (
            transformer.enable_gradient_checkpointing
            if on
            else transformer.disable_gradient_checkpointing
        )()

    def groups(self, patients, settings):
        return list(PatientGradients(self.base, self.adapter, settings).rows(patients))

    def rows(self, patients, settings):
        """[patients, numbers]."""
        return torch.cat([_flat(group.tensors) for group in self.groups(patients, settings)])

    def loop(self, patients):
        """The same by the definition: one place at a time, the mean of its gradients."""
        rows = []
        for places in patients:
            gradients = [
                torch.autograd.grad(losses_of(self.base, [place])[0], self.adapter.parameters())
                for place in places
            ]
            rows.append(torch.stack([_flat([g[None] for g in each])[0] for each in gradients]))
        return torch.stack([row.mean(dim=0) for row in rows])

    def empty_sum(self, clip_norm=CLIP_NORM):
        shapes = [factor.shape for factor in self.adapter.parameters()]
        plan = dataclasses.replace(QUIET, clip_norm=clip_norm)
        return PatientSum(shapes, plan, torch.Generator())

    def clipped_sum(self, patients, settings, clip_norm=CLIP_NORM):
        total = self.empty_sum(clip_norm)
        for group in self.groups(patients, settings):
            total.add(clip_gradients(group.tensors, clip_norm))
        return torch.cat([part.flatten() for part in total.noisy_mean(drawn=len(patients))])


def _flat(tensors):
    return torch.cat([tensor.flatten(1) for tensor in tensors], dim=1).double()


def _distance(one, other):
    return float(((one - other).norm(dim=1) / other.norm(dim=1)).max())


@pytest.fixture(scope="module")
def cases():
    return {name: Case(name) for name in NAMES}


@pytest.fixture(params=NAMES)
def case(cases, request):
    found = cases[request.param]
    found.checkpointing(False)
    return found


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("path", SETTINGS)
def test_every_path_gives_the_rows_of_the_plain_loop(case, path, checkpointed):
    patients = case.patients([1, 2, 2])
    wanted = case.loop(patients)
    case.checkpointing(checkpointed)
    assert _distance(case.rows(patients, path), wanted) < 1e-5


def test_losses_are_the_means_over_a_patients_places(case):
    patients = case.patients([2, 1])
    wanted = [float(losses_of(case.base, places).detach().mean()) for places in patients]
    for path in SETTINGS:
        found = [loss for group in case.groups(patients, path) for loss in group.losses]
        assert found == pytest.approx(wanted, rel=1e-5)


@few
@given(
    counts=counts,
    chosen=st.integers(0, 2),
    seed=st.integers(0, 50),
    share=st.sampled_from([0.7, 1e-3, 1.4]),
    path=st.sampled_from(SETTINGS),
)
@pytest.mark.parametrize("checkpointed", [False, True])
def test_removing_a_patient_moves_the_sum_by_at_most_the_clip_norm(
    case, checkpointed, counts, chosen, seed, share, path
):
    case.checkpointing(checkpointed)
    patients = case.patients(counts, seed=seed)
    chosen %= len(patients)
    rest = [*patients[:chosen], *patients[chosen + 1 :]]
    (norm,) = case.rows([patients[chosen]], path).norm(dim=1).tolist()
    most = norm * share
    moved = case.clipped_sum(patients, path, most) - case.clipped_sum(rest, path, most)
    assert 0 < float(moved.double().norm()) <= min(most, norm) * (1 + 1e-5)


@few
@given(
    counts=counts,
    chosen=st.integers(0, 2),
    scale=st.floats(0.1, 1e4),
    path=st.sampled_from(SETTINGS),
)
def test_replacing_a_patients_clips_changes_no_other_row(case, counts, chosen, scale, path):
    patients = case.patients(counts)
    chosen %= len(patients)
    changed = [
        dataclasses.replace(place, clean_TCHW=place.clean_TCHW * scale + 1)
        for place in patients[chosen]
    ]
    others = [number for number in range(len(patients)) if number != chosen]
    before = case.rows(patients, path)
    after = case.rows([*patients[:chosen], changed, *patients[chosen + 1 :]], path)
    assert torch.equal(before[others], after[others])
    assert not torch.equal(before[chosen], after[chosen])


def test_a_patient_counts_once_however_many_clips_it_has(case):
    (places,) = case.patients([1])
    for path in SETTINGS:
        one, many = case.rows([places], path), case.rows([places * 3], path)
        assert _distance(many, one) < 1e-5


def test_no_patients_give_no_rows(case):
    assert all(case.groups([], path) == [] for path in SETTINGS)


@pytest.mark.parametrize("path", SETTINGS)
def test_a_clip_that_is_not_a_number_is_not_added(case, path):
    patients = case.patients([1, 2, 1])
    patients[1][1].clean_TCHW[0, 0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteGradient):
        case.clipped_sum(patients, path)
    spoilt = [group for group in case.groups(patients, path) if not np.isfinite(group.losses).all()]
    total = case.empty_sum()
    with pytest.raises(NonFiniteGradient):
        total.add(clip_gradients(spoilt[0].tensors, CLIP_NORM))
    assert not any(bool(part.any()) for part in total.noisy_mean(drawn=0))


def test_the_adapter_is_as_it_was_afterwards_and_after_an_error(case, monkeypatch):
    before = case.adapter.read()
    layer = case.base.transformer.get_submodule("proj_out.lora_B")
    own = layer[ADAPTER_NAME]
    case.rows(case.patients([1, 1]), SETTINGS[0])
    monkeypatch.setattr(patient_gradients, "losses_of", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        case.rows(case.patients([1, 1]), SETTINGS[0])
    assert layer[ADAPTER_NAME] is own
    after = case.adapter.read()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert all(factor.grad is None for factor in case.adapter.parameters())


def test_short_sequences_share_a_pass_and_long_ones_go_one_by_one(cases, monkeypatch):
    case = cases["tiny"]
    passes = []

    def spy(base, places):
        passes.append(len(places))
        return losses_of(base, places)

    monkeypatch.setattr(patient_gradients, "losses_of", spy)
    patients = case.patients([2, 2, 1])
    auto = PerformanceSettings()
    case.rows(patients, auto)
    numbers = PatientGradients(case.base, case.adapter, auto)._numbers(patients[0][0])
    for most in (4 * numbers, numbers):
        monkeypatch.setattr(patient_gradients, "_NUMBERS_A_PASS", most)
        case.rows(patients, auto)
    assert passes == [5, 4, 1, 1, 1, 1, 1, 1]
    passes.clear()
    monkeypatch.undo()
    monkeypatch.setattr(patient_gradients, "losses_of", spy)
    case.rows(patients, PerformanceSettings(path="one-by-one"))
    case.rows(patients, PerformanceSettings(path="auto", micro_batch=3))
    assert passes == [1, 1, 1, 1, 1, 2, 3]


def test_rows_that_are_no_clips_are_refused(case):
    patients = case.patients([1, 1])
    folded = case.base.transformer.get_submodule("proj_out")
    handle = folded.register_forward_pre_hook(lambda _, inputs: (inputs[0].flatten(0, 1)[None],))
    try:
        with pytest.raises(AdapterMismatch, match="rows must be clips"):
            case.rows(patients, SETTINGS[0])
    finally:
        handle.remove()


def test_a_layer_that_is_not_linear_is_refused_by_the_vectorised_path(cases, monkeypatch):
    case = cases["tiny"]
    layer = case.base.transformer.get_submodule("proj_out.lora_B")
    own = layer[ADAPTER_NAME]
    folding = torch.nn.Sequential(own)  # as a convolution over frames: no linear layer
    monkeypatch.setitem(layer._modules, ADAPTER_NAME, folding)
    with pytest.raises(AdapterMismatch, match="linear"):
        PatientGradients(case.base, case.adapter, PerformanceSettings(path="vectorised"))
    patients = case.patients([1, 1])
    assert len(case.groups(patients, PerformanceSettings())) == 2


def test_a_base_without_its_denoiser_is_named(cases):
    base = dataclasses.replace(cases["tiny"].base, transformer=None)
    with pytest.raises(BaseMissing, match="transformer"):
        PatientGradients(base, cases["tiny"].adapter, PerformanceSettings())
