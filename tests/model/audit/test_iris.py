"""Whose iris it is, on drawn eyes: moved, turned, relit."""

import math

import numpy as np
import pytest

from ophora_model.audit.iris import find_limbus, iris_code, iris_distance, iris_distances
from ophora_model.video import Frames

SIZE = (64, 96)


def eye(person: int, *, shot: int = 0, turn: float = 0.0) -> Frames:
    """Nine frames of a person's eye; the fibres are the person's, place and noise the shot's."""
    fibres = np.random.default_rng([person, 1])
    waves = fibres.integers(5, 24, 14)
    phases, sizes = fibres.uniform(0, 2 * math.pi, 14), fibres.uniform(4, 9, 14)
    rng = np.random.default_rng([person, shot, 2])
    radius = SIZE[0] * rng.uniform(0.37, 0.43)
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(float)
    start = np.array(SIZE) / 2 + rng.normal(0, 1.5, 2)
    frames = []
    for _ in range(9):
        start = start + rng.normal(0, 0.3, 2)
        away = np.hypot(rows - start[0], columns - start[1]) / radius
        angle = np.arctan2(rows - start[0], columns - start[1]) + turn
        pattern = (sizes * np.cos(waves * angle[..., None] + phases)).sum(axis=2) / 3
        picture = np.where(away < 1, 90 + 4 * pattern, 215.0)
        picture = np.where(away < 0.7, 45.0, picture)
        picture = picture * rng.uniform(0.97, 1.03) + rng.normal(0, 2, SIZE)
        frames.append(np.repeat(np.clip(picture, 0, 255)[..., None], 3, axis=2))
    return np.stack(frames).astype(np.uint8)


def test_the_limbus_is_found() -> None:
    for person in range(4):
        grey = eye(person)[0].astype(float).mean(axis=2)
        found = find_limbus(grey)
        assert found.edge > 50
        assert 0.35 * SIZE[0] < found.radius < 0.45 * SIZE[0]
        assert abs(found.row - SIZE[0] / 2) < 6
        assert abs(found.column - SIZE[1] / 2) < 6


def test_an_iris_matches_itself_in_another_shot_and_no_stranger() -> None:
    first = [iris_code(eye(person)) for person in range(6)]
    later = [iris_code(eye(person, shot=1, turn=0.15)) for person in range(6)]
    codes = [code for code in (*first, *later) if code is not None]
    assert len(codes) == 12
    found = iris_distances(codes[:6], codes[6:])
    strangers = found[~np.eye(6, dtype=bool)]
    assert np.diag(found).max() < strangers.min()
    assert np.diag(found).mean() < 0.25
    assert strangers.mean() > 0.35
    assert (found.argmin(axis=1) == np.arange(6)).all()


def test_a_code_is_at_no_distance_from_itself() -> None:
    code = iris_code(eye(3))
    assert code is not None
    assert iris_distance(code, code) == 0


@pytest.mark.parametrize("kind", ["flat", "noise"])
def test_without_an_eye_there_is_no_code(kind: str) -> None:
    rng = np.random.default_rng(0)
    shape = (9, *SIZE, 3)
    frames = np.full(shape, 120.0) if kind == "flat" else rng.normal(120, 8, shape)
    assert iris_code(frames.astype(np.uint8)) is None


def test_the_phantoms_irises_are_told_apart() -> None:
    """Its fibres are a shot's own, so an early and a late part of one shot have to match."""
    pytest.importorskip("cv2")
    from ophora_curation.phantom.look import draw_eye_look
    from ophora_curation.phantom.scene import Shot

    early, late = [], []
    for person in range(4):
        shot = Shot(
            "irrigation_aspiration",
            draw_eye_look(np.random.default_rng([1, person])),
            np.random.default_rng([2, person]),
            frames=80,
            height=SIZE[0],
            width=SIZE[1],
            fps=8.0,
        )
        for codes, start in ((early, 0), (late, 40)):
            code = iris_code(np.stack([shot.frame(start + 4 * k) for k in range(9)]))
            assert code is not None
            codes.append(code)
    found = iris_distances(early, late)
    assert np.diag(found).max() < 0.28
    assert found[~np.eye(4, dtype=bool)].min() > 0.28
