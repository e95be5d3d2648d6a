"""Pictures of the report: drawn for every site, also for one that has little to show."""

import io

import numpy as np
import pytest
from PIL import Image

from ophora_deploy.demo.pictures import contact_sheet, film_strip, loss_plot


@pytest.mark.parametrize("losses", [[], [0.3], [0.3] * 20])
def test_losses_of_any_length_are_plotted(losses: list[float]) -> None:
    plot = Image.open(io.BytesIO(loss_plot({"north": losses, "hill": [0.1, 0.2]}, [0, 1])))
    assert plot.size == (792, 330)


def test_a_strip_begins_with_the_first_frame_and_ends_with_the_last() -> None:
    frames = np.arange(9, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    strip = film_strip(frames)
    assert strip.shape == (4, 18, 3)
    assert [int(strip[0, x, 0]) for x in (0, 6, 12)] == [0, 4, 8]


def test_a_contact_sheet_leaves_a_gap_where_there_is_no_clip() -> None:
    frames = np.full((9, 64, 96, 3), 200, np.uint8)
    sheet = Image.open(io.BytesIO(contact_sheet([("Incision", [None, frames])], ["a", "b"])))
    pixels = np.asarray(sheet.convert("L"))
    half = pixels.shape[1] // 2
    middle = pixels[pixels.shape[0] // 2]
    assert middle[half + 60] == 200
    assert middle[half - 60] == 255
