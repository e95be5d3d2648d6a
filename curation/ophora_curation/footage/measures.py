"""Measures of a single frame: how sharp it is, and how much of it looks like an eye."""

import cv2
import numpy as np

from ophora_curation.footage.planes import Small, SmallPlanes

_TILES = 6
_DARK = 24  # luma, 0-255


def sharpness(luma: Small) -> float:
    """Variance of the Laplacian, median over tiles: an overlay's letters don't hide a blurred eye.

    Unit: squared 8-bit steps on 160 pixels of width.
    """
    edges = np.asarray(cv2.Laplacian(luma, cv2.CV_32F))
    height, width = (side // _TILES * _TILES for side in luma.shape)
    tiles = edges[:height, :width].reshape(_TILES, height // _TILES, _TILES, width // _TILES)
    return float(np.median(tiles.var(axis=(1, 3))))


def eye_share(small: SmallPlanes) -> float:
    """Share of the picture's middle that is lit and warm or white, as tissue, iris and reflex are.

    In RGB: red at least green - 8 and at least blue - 4. As a microscope sees it; a room of green
    drapes and grey walls has little of it.
    """
    height, width = small.u.shape
    rows = slice(height // 4, height - height // 4)
    columns = slice(width // 4, width - width // 4)
    u = small.u[rows, columns].astype(np.int16) - 128
    v = small.v[rows, columns].astype(np.int16) - 128
    luma = small.y[::2, ::2][rows, columns]
    # BT.601 with red = y + 1.402 v, green = y - 0.344 u - 0.714 v, blue = y + 1.772 u, times 256
    warm = (542 * v + 88 * u >= -8 * 256) & (359 * v - 454 * u >= -4 * 256) & (luma > _DARK)
    return float(warm.mean())
