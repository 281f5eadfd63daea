"""Attributes of faces: computed once for a batch, the same for every model."""

from dataclasses import replace

import numpy as np

from handlers.attributes import FaceAttributes, SeenFace, load_attributes
from tests.handlers.align_fakes import HEIGHT, MEAN, STORE, WIDTH
from tests.handlers.tracking_fakes import alignment

IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
LANDMARKS = np.asarray(MEAN * 40 + 80, np.float32)


def seen(denoise: bool = True) -> SeenFace:
    return SeenFace(IMAGE, LANDMARKS, alignment(LANDMARKS, denoise), 0.9)


def test_a_face_has_every_attribute_that_is_listed() -> None:
    (found,) = load_attributes(STORE).compute([seen()])
    assert found["degradation"] == {"class": "blur", "probabilities": {"blur": 1.0}}
    assert set(found["pose"]) >= {"pitch_deg", "yaw_deg", "roll_deg"}
    assert 0 < found["quality"] <= 0.9


def test_a_face_that_was_not_seen_has_none_and_keeps_its_place() -> None:
    first, lost, last = load_attributes(STORE).compute([seen(), None, seen(denoise=False)])
    assert set(lost.values()) == {None}
    assert first["degradation"]["class"] == "blur"
    assert last["degradation"]["class"] == "clean"


def test_landmarks_from_elsewhere_have_a_pose_and_no_quality() -> None:
    (found,) = load_attributes(STORE).compute([SeenFace(IMAGE, LANDMARKS, None)])
    assert found["pose"] is not None
    assert found["quality"] is found["degradation"] is None


def test_landmarks_in_one_place_have_no_pose() -> None:
    collapsed = SeenFace(IMAGE, np.full((68, 2), 50, np.float32), None)
    assert load_attributes(STORE).compute([collapsed])[0]["pose"] is None


def test_an_attribute_is_asked_once_for_all_faces_of_a_batch() -> None:
    batches = []

    def counted(faces: list[SeenFace]) -> list[int]:
        batches.append(len(faces))
        return list(range(len(faces)))

    attributes = FaceAttributes({"place": counted})
    assert attributes.compute([seen(), None, seen()]) == [
        {"place": 0},
        {"place": None},
        {"place": 1},
    ]
    assert batches == [2]


def test_what_a_face_does_is_told_where_the_network_tells() -> None:
    smiling = replace(alignment(LANDMARKS, False), actions={"mouthSmileLeft": 0.9})
    told, untold = load_attributes(STORE).compute([replace(seen(), alignment=smiling), seen()])
    assert told["actions"] == {"mouthSmileLeft": 0.9}
    assert untold["actions"] is None
