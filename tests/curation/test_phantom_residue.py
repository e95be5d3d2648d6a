from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from ophora_curation.phantom.identity import invent_person
from ophora_curation.phantom.overlay import draw_overlay
from ophora_curation.phantom.patient_overlay import draw_patient
from ophora_curation.phantom.residue import legible_lines
from ophora_curation.phantom.scene import render_clip

FPS = 8


def write(path, frames):
    with av.open(str(path), "w") as container:
        height, width = frames.shape[1:3]
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def plain():
    rng = np.random.default_rng(8)
    return render_clip("incision", rng, frames=24, height=320, width=480, fps=FPS)


def legible(tmp_path, source, clip, drawn, start_s=1.0):
    return legible_lines(
        write(tmp_path / "source.mp4", source),
        write(tmp_path / "clip.mp4", clip),
        drawn.boxes,
        shown=(drawn.frames[0] / FPS, drawn.frames[1] / FPS),
        clip_start_s=start_s,
    )


def masked(frames, boxes):
    covered = frames.copy()
    for left, top, right, bottom in boxes:
        covered[:, max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = 80
    return covered


@pytest.mark.parametrize("seed", range(4))
def test_lines_are_legible_until_they_are_masked(tmp_path, plain, seed):
    rng = np.random.default_rng(seed)
    source = plain.copy()
    drawn = draw_patient(source, rng, invent_person(rng), fps=FPS)
    assert legible(tmp_path, source, source[8:], drawn) == (
        len(drawn.boxes) if drawn.frames[1] > 8 else 0
    )
    assert legible(tmp_path, source, masked(source, drawn.boxes)[8:], drawn) == 0


def test_one_line_that_was_forgotten_is_counted(tmp_path, plain):
    source = plain.copy()
    drawn = draw_overlay(source, "personal", np.random.default_rng(2))
    assert legible(tmp_path, source, masked(source, drawn.boxes[1:])[8:], drawn) == 1


def test_lines_are_found_in_a_clip_that_was_cropped_and_scaled(tmp_path, plain):
    source = plain.copy()
    drawn = draw_overlay(source, "personal", np.random.default_rng(2))
    left = source[8:, :, :320]
    clip = np.stack([cv2.resize(f, (240, 240), interpolation=cv2.INTER_AREA) for f in left])
    assert legible(tmp_path, source, clip, drawn) >= 2
    away = source[8:, 150:, 300:] if drawn.boxes[0][1] < 150 else source[8:, :150, 300:]
    assert legible(tmp_path, source, away, drawn) == 0


def test_what_was_shown_before_the_clip_began_is_not_looked_for(tmp_path, plain):
    source = plain.copy()
    drawn = draw_overlay(source[:8], "personal", np.random.default_rng(2))
    assert legible(tmp_path, source, source[8:], drawn) == 0
