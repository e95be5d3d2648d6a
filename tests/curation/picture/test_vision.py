import base64

import cv2
import numpy as np
import pytest

from chat_server import Answer, ChatServer, says, sends, serve_chat
from ophora_curation.errors import RefinerFailed
from ophora_curation.picture.vision import DOUBTS, VisionCheck
from ophora_curation.text.endpoint import Endpoint
from ophora_curation.text.refining import RefineSettings

NOTHING = {"text": False, "face": False, "out_of_field": False}


def _picture() -> np.ndarray:
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[:, :, 0] = 200  # red, and not the same turned round
    picture[:8, :8, 2] = 90
    return picture


def _doubts(answer: Answer, count: int = 2) -> tuple[tuple[str, ...], ChatServer]:
    with serve_chat(answer) as server:
        settings = RefineSettings(endpoint=server.url, model="words", vision_model="eyes")
        check = VisionCheck(Endpoint(settings), settings.vision_model)
        return check.doubts([_picture()] * count), server


@pytest.mark.parametrize(
    ("seen", "doubts"),
    [
        ({}, ()),
        ({"text": True}, ("text",)),
        ({"face": True, "out_of_field": True}, ("face", "out-of-field")),
    ],
)
def test_what_the_model_sees_becomes_closed_words(
    seen: dict[str, bool], doubts: tuple[str, ...]
) -> None:
    found, _ = _doubts(says({**NOTHING, **seen}))
    assert found == doubts
    assert set(found) <= set(DOUBTS)


def test_pictures_arrive_as_they_are_at_the_vision_model() -> None:
    _, server = _doubts(says(NOTHING))
    question = server.question()
    assert question["model"] == "eyes"
    parts = question["messages"][0]["content"]
    links = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert len(links) == 2
    kind, _, content = links[0].partition(",")
    assert kind == "data:image/png;base64"
    arrived = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert arrived is not None
    np.testing.assert_array_equal(cv2.cvtColor(arrived, cv2.COLOR_BGR2RGB), _picture())


def test_without_pictures_the_model_is_not_asked_and_nothing_is_sure() -> None:
    found, server = _doubts(says(NOTHING), count=0)
    assert found == ("unsure",)
    assert not server.bodies


@pytest.mark.parametrize(
    "answer",
    [
        says("no"),
        says([False, False, False]),
        says({"text": False, "face": False}),
        says({**NOTHING, "more": True}),
        says({**NOTHING, "face": "false"}),
        says({**NOTHING, "face": 0}),
        says({**NOTHING, "face": None}),
        sends(b"", status=500),
        sends(b"garbage"),
    ],
)
def test_every_other_answer_is_a_failure(answer: Answer) -> None:
    with pytest.raises(RefinerFailed):
        _doubts(answer)
