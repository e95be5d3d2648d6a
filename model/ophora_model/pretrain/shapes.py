"""Shapes that move: each function draws one at random and says in words what it does."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_model.pretrain.brush import (
    COLOURS,
    Canvas,
    Colour,
    Draw,
    H,
    W,
    blend,
    ellipse,
    near_centre,
    pick,
    soft_mask,
)

_GROWTH = {"still": (1.0, 1.0), "growing": (0.6, 1.2), "shrinking": (1.2, 0.6)}


def draw_disc(rng: np.random.Generator) -> tuple[Draw, str]:
    """One to four concentric discs, some with spokes, still, growing or shrinking."""
    rings = int(rng.integers(1, 5))
    picks = [pick(rng) for _ in range(rings)]
    size = float(rng.uniform(16, 58))
    ratios = [1.0, *np.cumprod(rng.uniform(0.5, 0.85, rings - 1)).tolist()]
    centre, squash = near_centre(rng), float(rng.uniform(0.85, 1.15))
    blur = float(rng.choice([0.4, 1.0, 2.5]))
    spokes = int(rng.integers(20, 70)) if rng.random() < 0.45 else 0
    growth = str(rng.choice(list(_GROWTH), p=[0.6, 0.2, 0.2]))
    start, end = _GROWTH[growth]
    shade = float(rng.uniform(-40, 40))
    strokes = rng.normal(0, 14, max(spokes, 1)).astype(np.float32)

    def draw(canvas: Canvas, time: float) -> None:
        grown = start + (end - start) * time
        for index, ((_, colour), ratio) in enumerate(zip(picks, ratios, strict=True)):
            radius = size * ratio * grown
            fill: Colour | Canvas = colour
            if spokes and index == 0:
                fill = _spoked(colour, centre, strokes)
            ellipse(canvas, centre, (radius, radius * squash), fill, blur)
        lit = centre - size * 0.2
        inner = size * ratios[-1] * 0.5
        ellipse(canvas, lit, (inner, inner), (255, 255, 255), inner / 2 + 1, abs(shade) / 130)

    adjective = "large" if size > 42 else "small" if size < 26 else "round"
    parts = " around ".join(f"{name}" for name, _ in picks)
    noun = "disc" if rings == 1 else "target of rings"
    texture = " with spokes" if spokes else ""
    return draw, f"a {growth} {adjective} {parts} {noun}{texture}"


def _spoked(colour: Colour, centre: NDArray[np.float64], strokes: NDArray[np.float32]) -> Canvas:
    yy, xx = np.mgrid[0:H, 0:W].astype(np.float32)
    angle = np.arctan2(yy - centre[1], xx - centre[0])
    index = ((angle + np.pi) / (2 * np.pi) * len(strokes)).astype(int) % len(strokes)
    spoked: Canvas = np.asarray(colour, np.float32) + strokes[index][..., None]
    return spoked


_SIDES = {"left": np.pi, "right": 0.0, "top": -np.pi / 2, "bottom": np.pi / 2}
_BAR_MOVES = (
    "slides in",
    "withdraws",
    "waves from side to side",
    "pushes back and forth",
    "rests",
    "turns",
)


def draw_bar(rng: np.random.Generator) -> tuple[Draw, str]:
    """A bar that reaches in from one side: slides, withdraws, waves, pushes, rests or turns."""
    name, colour = pick(rng)
    side = str(rng.choice(list(_SIDES)))
    move = str(rng.choice(_BAR_MOVES))
    angle = _SIDES[side] + rng.uniform(-0.6, 0.6)
    target, width = near_centre(rng, 0.15), float(rng.uniform(2, 11))
    taper = float(rng.uniform(0.2, 1.0))
    forked = rng.random() < 0.25
    phase = rng.uniform(0, 2 * np.pi)

    def draw(canvas: Canvas, time: float) -> None:
        turn, out = angle, 0.0
        if move == "slides in":
            out = (1 - time) * 70
        elif move == "withdraws":
            out = time * 70
        elif move == "waves from side to side":
            turn += 0.35 * np.sin(2 * np.pi * time * 1.5 + phase)
        elif move == "pushes back and forth":
            out = 14 * (1 + np.sin(2 * np.pi * time * 1.5 + phase))
        elif move == "turns":
            turn += (time - 0.5) * 1.2
        heading = np.array([np.cos(turn), np.sin(turn)])
        tip = target + heading * out
        _rod(canvas, tip, heading, width, taper, colour)
        if forked:
            spread = np.array([-heading[1], heading[0]]) * width
            _rod(canvas, tip + spread, heading, width * 0.5, taper, colour)

    weight = "thin" if width < 4.5 else "thick" if width > 8 else ""
    kind = "forked bar" if forked else "pointed bar" if taper < 0.45 else "bar"
    return draw, f"a {weight} {name} {kind} {move} from the {side}".replace("  ", " ")


def _rod(
    canvas: Canvas,
    tip: NDArray[np.float64],
    heading: NDArray[np.float64],
    width: float,
    taper: float,
    colour: Colour,
) -> None:
    normal = np.array([-heading[1], heading[0]])
    far = tip + heading * 200
    for share, lift in ((1.0, 0.0), (0.45, 45.0)):  # a lighter stripe along the middle
        half = width * share / 2
        corners = np.array(
            [
                tip - normal * half * taper,
                tip + normal * half * taper,
                far + normal * half * 1.6,
                far - normal * half * 1.6,
            ]
        )
        quad = (corners * 8).astype(np.int32)
        shade = tuple(min(255.0, c + lift) for c in colour)

        def shape(mask: NDArray[np.uint8], quad: NDArray[np.int32] = quad) -> None:
            cv2.fillConvexPoly(mask, quad, 255, cv2.LINE_AA, 3)

        blend(canvas, soft_mask(shape, 0.5), shade)  # type: ignore[arg-type]


def _arc(rng: np.random.Generator) -> tuple[Draw, str]:
    """A ring drawn along its circumference, or one that opens up or closes."""
    name, colour = pick(rng)
    centre, radius = near_centre(rng), float(rng.uniform(12, 40))
    width, start = int(rng.integers(2, 6)), float(rng.uniform(0, 360))
    kind = str(rng.choice(["is drawn around", "opens out", "closes in", "turns"]))

    def draw(canvas: Canvas, time: float) -> None:
        size, sweep, first = radius, 360.0, start
        if kind == "is drawn around":
            sweep = 20 + 340 * time
        elif kind == "opens out":
            size = radius * (0.25 + 0.75 * time)
        elif kind == "closes in":
            size = radius * (1 - 0.75 * time)
        else:
            sweep, first = 250.0, start + 200 * time

        def shape(mask: NDArray[np.uint8]) -> None:
            axes = (int(size * 8), int(size * 8))
            at = (int(centre[0] * 8), int(centre[1] * 8))
            cv2.ellipse(mask, at, axes, 0, first, first + sweep, 255, width, cv2.LINE_AA, 3)

        blend(canvas, soft_mask(shape, 0.5), colour)

    return draw, f"a {name} ring that {kind}"


def _dots(rng: np.random.Generator) -> tuple[Draw, str]:
    """Dots or flakes that scatter, gather, rise, fall, swirl or fade."""
    name, colour = pick(rng)
    count, size = int(rng.integers(4, 26)), float(rng.uniform(1.2, 5))
    centre = near_centre(rng)
    angles, radii = rng.uniform(0, 2 * np.pi, count), rng.uniform(2, 42, count)
    kind = str(rng.choice(["scatter", "gather", "rise", "fall", "swirl", "fade away"]))

    def draw(canvas: Canvas, time: float) -> None:
        reach = {"scatter": 0.3 + 0.9 * time, "gather": 1.2 - time}.get(kind, 1.0)
        turn = 2.5 * time if kind == "swirl" else 0.0
        lift = {"rise": -30 * (time - 0.5), "fall": 30 * (time - 0.5)}.get(kind, 0.0)
        alpha = 1 - time if kind == "fade away" else 1.0

        def shape(mask: NDArray[np.uint8]) -> None:
            for angle, radius in zip(angles, radii, strict=True):
                x = centre[0] + np.cos(angle + turn) * radius * reach
                y = centre[1] + np.sin(angle + turn) * radius * reach + lift
                cv2.circle(mask, (int(x * 8), int(y * 8)), int(size * 8), 255, -1, cv2.LINE_AA, 3)

        blend(canvas, soft_mask(shape, 0.4), colour, alpha)

    many = "many" if count > 14 else "a few"
    return draw, f"{many} {name} dots that {kind}"


def _blob(rng: np.random.Generator) -> tuple[Draw, str]:
    """A soft patch that spreads, shrinks, crosses the frame or breaks into pieces."""
    name, colour = pick(rng)
    centre, size = near_centre(rng), float(rng.uniform(10, 30))
    kind = str(
        rng.choice(
            [
                "spreads",
                "shrinks",
                "drifts to the left",
                "drifts to the right",
                "splits in two",
                "unfolds",
            ]
        )
    )
    alpha, blur = float(rng.uniform(0.5, 1.0)), float(rng.uniform(1, 6))

    def draw(canvas: Canvas, time: float) -> None:
        radius, wide, shift, split = size, 1.0, 0.0, 0.0
        if kind == "spreads":
            radius = size * (0.3 + time)
        elif kind == "shrinks":
            radius = size * (1.3 - time)
        elif kind.startswith("drifts"):
            shift = (time - 0.5) * (-70 if kind.endswith("left") else 70)
        elif kind == "splits in two":
            split = time * size
        else:
            wide = 0.2 + 0.8 * time
        for sign in (-1, 1) if split else (0,):
            at = centre + np.array([shift + sign * split, 0.0])
            ellipse(canvas, at, (radius * wide, radius), colour, blur, alpha)

    return draw, f"a soft {name} patch that {kind}"


def _flash(rng: np.random.Generator) -> tuple[Draw, str]:
    """Small bright spots that stay or blink, as light on something wet."""
    spots = rng.uniform([0.2 * W, 0.2 * H], [0.8 * W, 0.8 * H], (int(rng.integers(1, 6)), 2))
    sizes = rng.uniform(1.0, 5.0, len(spots))
    blink = rng.random() < 0.5

    def draw(canvas: Canvas, time: float) -> None:
        alpha = 0.5 + 0.5 * np.cos(2 * np.pi * 2 * time) if blink else 1.0
        for spot, size in zip(spots, sizes, strict=True):
            ellipse(canvas, spot, (size, size * 0.7), (255, 255, 255), 0.8, alpha)

    return draw, "bright spots that blink" if blink else "bright white spots"


def draw_letters(rng: np.random.Generator) -> tuple[Draw, str]:
    """Letters or figures in a corner, with or without a dark panel behind them."""
    name = str(rng.choice(["white", "yellow", "green"]))
    colour = COLOURS[name]
    text = "".join(rng.choice(list("ABCDEHKLMNPRSTUX0123456789"), int(rng.integers(3, 8))))
    scale = float(rng.uniform(0.5, 0.9))
    right, low = rng.random() < 0.5, rng.random() < 0.5
    panel = rng.random() < 0.4

    def draw(canvas: Canvas, time: float) -> None:
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        x = W - wide - 4 if right else 4
        y = H - 6 if low else high + 4
        if panel:
            cv2.rectangle(canvas, (x - 3, y - high - 3), (x + wide + 3, y + 4), (20, 20, 25), -1)

        def shape(mask: NDArray[np.uint8]) -> None:
            cv2.putText(mask, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 2, cv2.LINE_AA)

        blend(canvas, soft_mask(shape, 0.0), colour)

    corner = f"{'bottom' if low else 'top'} {'right' if right else 'left'}"
    return draw, f"{name} letters in the {corner} corner"


ACTIONS: tuple[Callable[[np.random.Generator], tuple[Draw, str]], ...] = (
    draw_bar,
    draw_bar,
    draw_bar,
    _arc,
    _dots,
    _blob,
    _flash,
)
