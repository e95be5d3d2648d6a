"""Generic procedural motion with captions: what the tiny base learns from before any hospital.

Discs, rings, bars, dots, lines and letters on textured grounds, moving in simple ways, each clip
with a sentence that says so. Nothing here depicts an eye, an instrument or an operation: what the
tuned adapters know of surgery they learned from the sites' clips and from nowhere else.

`draw_clip(rng)` is the whole interface; the same generator state gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FRAMES, HEIGHT, WIDTH = 9, 64, 96
_SCALE = 2  # drawn at twice the size and area-averaged, so that edges are smooth
_H, _W = HEIGHT * _SCALE, WIDTH * _SCALE

Canvas = NDArray[np.float32]
Colour = tuple[float, float, float]
Draw = Callable[[Canvas, float], None]

COLOURS: dict[str, Colour] = {
    "red": (200, 40, 35),
    "orange": (225, 120, 40),
    "amber": (240, 180, 70),
    "yellow": (235, 220, 80),
    "green": (60, 140, 80),
    "teal": (60, 150, 150),
    "blue": (60, 95, 180),
    "violet": (130, 80, 170),
    "pink": (235, 160, 165),
    "brown": (100, 65, 35),
    "cream": (240, 228, 205),
    "white": (250, 250, 250),
    "grey": (140, 145, 150),
    "black": (18, 16, 18),
    "rose": (190, 100, 90),
    "crimson": (140, 25, 30),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedClip:
    """A clip of shape [FRAMES, HEIGHT, WIDTH, 3], uint8 RGB, and the sentence that describes it."""

    frames: NDArray[np.uint8]
    caption: str


def draw_clip(rng: np.random.Generator) -> CaptionedClip:
    """One random clip. Deterministic in the state of `rng`."""
    ground, words = _ground(rng)
    layers: list[Draw] = []
    phrases: list[str] = []
    if rng.random() < 0.85:
        _add(layers, phrases, _disc(rng))
    for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
        make = _ACTIONS[int(rng.integers(len(_ACTIONS)))]
        _add(layers, phrases, make(rng))
    if rng.random() < 0.25:
        _add(layers, phrases, _letters(rng))
    if not phrases:
        _add(layers, phrases, _bar(rng))
    drift = rng.normal(0, 2.5, 2) * (rng.random() < 0.5)
    shade = _vignette(rng) if rng.random() < 0.5 else None
    frames = np.stack([_render(ground, layers, k / (FRAMES - 1), drift, shade) for k in range(FRAMES)])
    caption = f"{', '.join(phrases)}, on {words}"
    return CaptionedClip(frames=frames, caption=caption)


def _add(layers: list[Draw], phrases: list[str], made: tuple[Draw, str]) -> None:
    layers.append(made[0])
    phrases.append(made[1])


def _render(
    ground: Canvas, layers: list[Draw], time: float, drift: NDArray[np.float64], shade: Canvas | None
) -> NDArray[np.uint8]:
    canvas = ground.copy()
    for draw in layers:
        draw(canvas, time)
    if np.any(drift):
        move = np.float32([[1, 0, drift[0] * time], [0, 1, drift[1] * time]])
        canvas = cv2.warpAffine(canvas, move, (_W, _H), borderMode=cv2.BORDER_REFLECT)  # type: ignore[assignment]
    if shade is not None:
        canvas *= shade
    small = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.clip(small, 0, 255).astype(np.uint8)


def _pick(rng: np.random.Generator) -> tuple[str, Colour]:
    name = str(rng.choice(list(COLOURS)))
    red, green, blue = np.clip(np.array(COLOURS[name]) + rng.normal(0, 12, 3), 0, 255)
    return name, (float(red), float(green), float(blue))


def _noise(rng: np.random.Generator, cells: int) -> Canvas:
    grid = rng.normal(0, 1, (cells, cells * 3 // 2, 1)).astype(np.float32)
    return cv2.resize(grid, (_W, _H), interpolation=cv2.INTER_CUBIC)[..., None].astype(np.float32)


def _ground(rng: np.random.Generator) -> tuple[Canvas, str]:
    name, colour = _pick(rng)
    other, second = _pick(rng)
    canvas = np.empty((_H, _W, 3), np.float32)
    canvas[:] = colour
    style = int(rng.integers(4))
    if style == 0:
        words = f"a plain {name} ground"
    elif style == 1:
        canvas += _noise(rng, int(rng.integers(3, 8))) * float(rng.uniform(6, 22))
        words = f"a mottled {name} ground"
    elif style == 2:
        angle = rng.uniform(0, 2 * np.pi)
        yy, xx = np.mgrid[0:_H, 0:_W].astype(np.float32)
        ramp = (np.cos(angle) * (xx / _W - 0.5) + np.sin(angle) * (yy / _H - 0.5) + 0.5).clip(0, 1)
        canvas += ramp[..., None] * (np.array(second, np.float32) - canvas)
        words = f"a ground fading from {name} to {other}"
    else:
        canvas += _noise(rng, int(rng.integers(10, 24))) * float(rng.uniform(5, 14))
        for _ in range(int(rng.integers(3, 9))):
            _wander(canvas, rng, second)
        words = f"a {name} ground with thin {other} lines"
    return canvas, words


def _wander(canvas: Canvas, rng: np.random.Generator, colour: Colour) -> None:
    point = rng.uniform([0, 0], [_W, _H])
    heading = rng.uniform(0, 2 * np.pi)
    points = [point]
    for _ in range(8):
        heading += rng.normal(0, 0.5)
        point = point + rng.uniform(5, 14) * np.array([np.cos(heading), np.sin(heading)])
        points.append(point)
    line = np.array(points, np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [line], False, colour, int(rng.integers(1, 3)), cv2.LINE_AA)


def _vignette(rng: np.random.Generator) -> Canvas:
    yy, xx = np.mgrid[0:_H, 0:_W].astype(np.float32)
    centre = rng.uniform(0.4, 0.6, 2)
    distance = np.hypot((xx / _W - centre[0]) * 1.2, yy / _H - centre[1])
    edge = float(rng.uniform(0.5, 0.75))
    dark = np.clip((distance - edge) / 0.25, 0, 1) * rng.uniform(0.5, 1.0)
    return (1 - dark)[..., None].astype(np.float32)


def _mask(shape: Callable[[NDArray[np.uint8]], None], blur: float) -> Canvas:
    mask = np.zeros((_H, _W), np.uint8)
    shape(mask)
    soft = mask.astype(np.float32) / 255
    if blur > 0.3:
        soft = cv2.GaussianBlur(soft, (0, 0), blur)  # type: ignore[assignment]
    return soft[..., None]


def _blend(canvas: Canvas, mask: Canvas, colour: Colour | Canvas, alpha: float = 1.0) -> None:
    canvas += mask * alpha * (np.asarray(colour, np.float32) - canvas)


def _ellipse(canvas: Canvas, centre: NDArray[np.float64], radii: tuple[float, float], colour: Colour | Canvas, blur: float, alpha: float = 1.0) -> None:
    def shape(mask: NDArray[np.uint8]) -> None:
        axes = (max(1, int(radii[0] * 8)), max(1, int(radii[1] * 8)))
        cv2.ellipse(mask, (int(centre[0] * 8), int(centre[1] * 8)), axes, 0, 0, 360, 255, -1, cv2.LINE_AA, 3)

    _blend(canvas, _mask(shape, blur), colour, alpha)


def _centre(rng: np.random.Generator, spread: float = 0.18) -> NDArray[np.float64]:
    return np.array([_W * (0.5 + rng.uniform(-spread, spread)), _H * (0.5 + rng.uniform(-spread, spread))])


_GROWTH = {"still": (1.0, 1.0), "growing": (0.6, 1.2), "shrinking": (1.2, 0.6)}


def _disc(rng: np.random.Generator) -> tuple[Draw, str]:
    """One to four concentric discs, some with spokes, still, growing or shrinking."""
    rings = int(rng.integers(1, 5))
    picks = [_pick(rng) for _ in range(rings)]
    size = float(rng.uniform(16, 58))
    ratios = [1.0, *np.cumprod(rng.uniform(0.5, 0.85, rings - 1)).tolist()]
    centre, squash = _centre(rng), float(rng.uniform(0.85, 1.15))
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
            _ellipse(canvas, centre, (radius, radius * squash), fill, blur)
        lit = centre - size * 0.2
        inner = size * ratios[-1] * 0.5
        _ellipse(canvas, lit, (inner, inner), (255, 255, 255), inner / 2 + 1, abs(shade) / 130)

    adjective = "large" if size > 42 else "small" if size < 26 else "round"
    parts = " around ".join(f"{name}" for name, _ in picks)
    noun = "disc" if rings == 1 else "target of rings"
    texture = " with spokes" if spokes else ""
    return draw, f"a {growth} {adjective} {parts} {noun}{texture}"


def _spoked(colour: Colour, centre: NDArray[np.float64], strokes: NDArray[np.float32]) -> Canvas:
    yy, xx = np.mgrid[0:_H, 0:_W].astype(np.float32)
    angle = np.arctan2(yy - centre[1], xx - centre[0])
    index = ((angle + np.pi) / (2 * np.pi) * len(strokes)).astype(int) % len(strokes)
    return np.asarray(colour, np.float32) + strokes[index][..., None]


_SIDES = {"left": np.pi, "right": 0.0, "top": -np.pi / 2, "bottom": np.pi / 2}
_BAR_MOVES = ("slides in", "withdraws", "waves from side to side", "pushes back and forth", "rests", "turns")


def _bar(rng: np.random.Generator) -> tuple[Draw, str]:
    """A bar that reaches in from one side: slides, withdraws, waves, pushes, rests or turns."""
    name, colour = _pick(rng)
    side = str(rng.choice(list(_SIDES)))
    move = str(rng.choice(_BAR_MOVES))
    angle = _SIDES[side] + rng.uniform(-0.6, 0.6)
    target, width = _centre(rng, 0.15), float(rng.uniform(2, 11))
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


def _rod(canvas: Canvas, tip: NDArray[np.float64], heading: NDArray[np.float64], width: float, taper: float, colour: Colour) -> None:
    normal = np.array([-heading[1], heading[0]])
    far = tip + heading * 200
    for share, lift in ((1.0, 0.0), (0.45, 45.0)):  # a lighter stripe along the middle
        half = width * share / 2
        corners = np.array([tip - normal * half * taper, tip + normal * half * taper, far + normal * half * 1.6, far - normal * half * 1.6])
        quad = (corners * 8).astype(np.int32)
        shade = tuple(min(255.0, c + lift) for c in colour)

        def shape(mask: NDArray[np.uint8], quad: NDArray[np.int32] = quad) -> None:
            cv2.fillConvexPoly(mask, quad, 255, cv2.LINE_AA, 3)

        _blend(canvas, _mask(shape, 0.5), shade)  # type: ignore[arg-type]


def _arc(rng: np.random.Generator) -> tuple[Draw, str]:
    """A ring drawn along its circumference, or one that opens up or closes."""
    name, colour = _pick(rng)
    centre, radius = _centre(rng), float(rng.uniform(12, 40))
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

        _blend(canvas, _mask(shape, 0.5), colour)

    return draw, f"a {name} ring that {kind}"


def _dots(rng: np.random.Generator) -> tuple[Draw, str]:
    """Dots or flakes that scatter, gather, rise, fall, swirl or fade."""
    name, colour = _pick(rng)
    count, size = int(rng.integers(4, 26)), float(rng.uniform(1.2, 5))
    centre = _centre(rng)
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

        _blend(canvas, _mask(shape, 0.4), colour, alpha)

    many = "many" if count > 14 else "a few"
    return draw, f"{many} {name} dots that {kind}"


def _blob(rng: np.random.Generator) -> tuple[Draw, str]:
    """A soft patch that spreads, shrinks, crosses the frame or breaks into pieces."""
    name, colour = _pick(rng)
    centre, size = _centre(rng), float(rng.uniform(10, 30))
    kind = str(rng.choice(["spreads", "shrinks", "drifts to the left", "drifts to the right", "splits in two", "unfolds"]))
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
            _ellipse(canvas, at, (radius * wide, radius), colour, blur, alpha)

    return draw, f"a soft {name} patch that {kind}"


def _flash(rng: np.random.Generator) -> tuple[Draw, str]:
    """Small bright spots that stay or blink, as light on something wet."""
    spots = rng.uniform([0.2 * _W, 0.2 * _H], [0.8 * _W, 0.8 * _H], (int(rng.integers(1, 6)), 2))
    sizes = rng.uniform(1.0, 5.0, len(spots))
    blink = rng.random() < 0.5

    def draw(canvas: Canvas, time: float) -> None:
        alpha = 0.5 + 0.5 * np.cos(2 * np.pi * 2 * time) if blink else 1.0
        for spot, size in zip(spots, sizes, strict=True):
            _ellipse(canvas, spot, (size, size * 0.7), (255, 255, 255), 0.8, alpha)

    return draw, "bright spots that blink" if blink else "bright white spots"


def _letters(rng: np.random.Generator) -> tuple[Draw, str]:
    """Letters or figures in a corner, with or without a dark panel behind them."""
    name = str(rng.choice(["white", "yellow", "green"]))
    colour = COLOURS[name]
    text = "".join(rng.choice(list("ABCDEHKLMNPRSTUX0123456789"), int(rng.integers(3, 8))))
    scale = float(rng.uniform(0.5, 0.9))
    right, low = rng.random() < 0.5, rng.random() < 0.5
    panel = rng.random() < 0.4

    def draw(canvas: Canvas, time: float) -> None:
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        x = _W - wide - 4 if right else 4
        y = _H - 6 if low else high + 4
        if panel:
            cv2.rectangle(canvas, (x - 3, y - high - 3), (x + wide + 3, y + 4), (20, 20, 25), -1)

        def shape(mask: NDArray[np.uint8]) -> None:
            cv2.putText(mask, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 2, cv2.LINE_AA)

        _blend(canvas, _mask(shape, 0.0), colour)

    corner = f"{'bottom' if low else 'top'} {'right' if right else 'left'}"
    return draw, f"{name} letters in the {corner} corner"


_ACTIONS: tuple[Callable[[np.random.Generator], tuple[Draw, str]], ...] = (
    _bar,
    _bar,
    _bar,
    _arc,
    _dots,
    _blob,
    _flash,
)
