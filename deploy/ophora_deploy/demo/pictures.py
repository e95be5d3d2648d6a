"""Pictures for the report: film strips, moving cells and plots, as data URLs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ophora_model.video import Frames

INK, GRID = "#22303c", "#d9e0e6"
SITE_COLOURS = ("#1f77a4", "#d9822b", "#5b8c5a")


def film_strip(frames: Frames, count: int = 3) -> Frames:
    """[H, count * W, 3]: frames spread evenly over the clip, side by side."""
    picked = np.linspace(0, len(frames) - 1, count).round().astype(int)
    strip: Frames = np.concatenate([frames[k] for k in picked], axis=1)
    return strip


def moving_picture(frames: Frames, scale: int = 2) -> str:
    """An endlessly repeating WebP of the clip, as a data URL."""
    size = (frames.shape[2] * scale, frames.shape[1] * scale)
    images = [Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC) for frame in frames]
    data = io.BytesIO()
    images[0].save(
        data, "WEBP", save_all=True, append_images=images[1:], duration=250, loop=0, quality=82
    )
    return data_url(data.getvalue(), "image/webp")


def data_url(payload: bytes, kind: str) -> str:
    """The bytes as a URL that needs no file beside the page."""
    return f"data:{kind};base64,{base64.b64encode(payload).decode()}"


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Frames | None]]], heads: Sequence[str]
) -> bytes:
    """PNG: one row a phase, one column a model, three frames a cell, labelled."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.5 * len(heads) + 1.4, 0.86 * len(rows) + 0.5), dpi=110)
    grid = figure.add_gridspec(
        len(rows),
        len(heads),
        left=0.12,
        right=0.995,
        top=0.965,
        bottom=0.005,
        wspace=0.02,
        hspace=0.04,
    )
    for row, (title, cells) in enumerate(rows):
        for column, frames in enumerate(cells):
            axes = figure.add_subplot(grid[row, column])
            axes.set_axis_off()
            if frames is not None:
                axes.imshow(film_strip(frames), interpolation="bicubic", aspect="auto")
            if row == 0:
                axes.set_title(heads[column], fontsize=11, color=INK, pad=4)
            if column == 0:
                axes.text(
                    -0.02, 0.5, title.replace(" ", "\n", 1), transform=axes.transAxes,
                    ha="right", va="center", fontsize=8.5, color=INK,
                )  # fmt: skip
    return _png(figure)


def loss_plot(losses: Mapping[str, Sequence[float]], marks: Sequence[int]) -> bytes:
    """PNG: each site's loss by step, smoothed; vertical lines at rounds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.0), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for colour, (site, values) in zip(SITE_COLOURS, losses.items(), strict=False):
        axes.plot(values, color=colour, alpha=0.18, linewidth=0.8)
        axes.plot(_smooth(values), color=colour, label=site, linewidth=1.8)
    for mark in marks[1:]:
        axes.axvline(mark, color=GRID, linewidth=0.8, zorder=0)
    axes.set_xlabel("local step", color=INK)
    axes.set_ylabel("v-prediction loss", color=INK)
    axes.legend(frameon=False, fontsize=9)
    _plain(axes)
    return _png(figure)


def match_plot(matches: Mapping[str, Mapping[str, float]], titles: Sequence[str]) -> bytes:
    """PNG: phase match by phase, one bar a model, chance as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(matches)
    for index, (model, by_phase) in enumerate(matches.items()):
        at = np.arange(len(by_phase)) + (index - (len(matches) - 1) / 2) * width
        colour = ("#b8c4ce", "#d9822b", "#1f77a4")[index % 3]
        axes.bar(at, [100 * v for v in by_phase.values()], width, label=model, color=colour)
    axes.axhline(100 / len(titles), color=INK, linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(titles)), titles, rotation=35, ha="right", fontsize=8)
    axes.set_ylabel("phase match, %", color=INK)
    axes.set_ylim(0, 105)
    axes.legend(frameon=False, fontsize=9, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    _plain(axes)
    return _png(figure)


def _smooth(values: Sequence[float], span: int = 9) -> Sequence[float]:
    if len(values) < span:  # also a site whose few steps drew no patient
        return values
    kernel = np.ones(span) / span
    padded = np.pad(np.asarray(values, float), span // 2, mode="edge")
    smoothed: list[float] = np.convolve(padded, kernel, mode="valid").tolist()
    return smoothed


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _png(figure: Any) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor="white")
    return data.getvalue()
