"""The align handler: pictures in, faces out, row by row."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from handlers.align import AlignHandler
from handlers.predictors.alignment import Alignment
from handlers.processing.image import decode_image
from tests.handlers.align_fakes import (
    HEIGHT,
    MEAN,
    POISON,
    WIDTH,
    FakeAligner,
    ask,
    detection,
    error,
    fake_handler,
    outputs,
    picture,
    row,
)


@pytest.fixture
def handler() -> AlignHandler:
    return fake_handler()


def test_an_answer_has_all_that_was_agreed(handler: AlignHandler) -> None:
    answer = outputs(handler, picture(1))
    assert answer["model"] == {"name": "align", "version": "1.2", "sha256": "ab" * 32}
    assert answer["image"] == {
        "width": WIDTH,
        "height": HEIGHT,
        "format": "PNG",
        "rotated": False,
        "frames": 1,
    }
    assert answer["notes"] == []
    assert sorted(answer["timings_ms"]) == ["align", "decode", "detect"]
    assert all(value >= 0 for value in answer["timings_ms"].values())
    (face,) = answer["faces"]
    assert face["box"] == detection(0).landmark_box.tolist()
    assert face["score"] == 0.9
    assert np.shape(face["landmarks"]) == (68, 2)
    assert face["degradation"] == {
        "class": "blur",
        "probabilities": {"clean": 0.25, "blur": 0.75},
    }
    assert face["denoised"] is True
    assert sorted(face["similarity"]) == ["rotation_deg", "scale", "translation"]
    assert sorted(face["pose"]) == ["pitch_deg", "position_mm", "roll_deg", "yaw_deg"]
    assert 0 < face["quality"] < 1
    assert not {"aligned", "denoised_face"} & face.keys()
    assert "overlay" not in answer


def test_the_similarity_takes_the_landmarks_to_the_mean_shape(handler: AlignHandler) -> None:
    low, high = MEAN.min(axis=0), MEAN.max(axis=0)
    box = [*(low * 1.5 + 10).tolist(), *(high * 1.5 + 10).tolist()]
    (face,) = outputs(handler, picture(), boxes=[box])["faces"]
    assert face["similarity"]["scale"] == pytest.approx(1 / 1.5, rel=1e-4)
    assert face["similarity"]["rotation_deg"] == pytest.approx(0, abs=0.01)
    assert face["similarity"]["translation"] == pytest.approx([-10 / 1.5] * 2, abs=0.01)


def test_no_face_is_an_empty_list(handler: AlignHandler) -> None:
    assert outputs(handler, picture(0))["faces"] == []


def test_the_callers_boxes_take_the_detectors_place(handler: AlignHandler) -> None:
    boxes = [[20, 20, 80, 90], [-5.5, 30.0, 60, 150]]
    answer = outputs(handler, picture(POISON), boxes=boxes)
    assert [face["box"] for face in answer["faces"]] == boxes
    assert answer["notes"] == ["reaches beyond the picture of 200 x 160 pixels: boxes[1]"]
    assert [face["score"] for face in answer["faces"]] == [None, None]
    assert handler.parts.detector.calls == []  # type: ignore[attr-defined]
    assert outputs(handler, picture(POISON), boxes=[])["faces"] == []


def test_rows_of_different_options_share_batches_where_they_can(handler: AlignHandler) -> None:
    replies = ask(
        handler,
        row(picture(3), max_faces=2),
        row(picture(4), denoise="off"),
        row(picture(2), min_face_px=20),
        row(picture(9), boxes=[[0, 0, 50, 60]], denoise="off"),
        row(picture(1)),
    )
    faces = [reply["outputs"]["faces"] for reply in replies]
    assert [len(found) for found in faces] == [2, 4, 2, 1, 1]
    assert [found[0]["denoised"] for found in faces] == [True, False, True, False, True]
    assert sorted(handler.parts.detector.calls) == [(1, 20, 64), (3, 40, 64)]  # type: ignore[attr-defined]
    assert sorted(handler.parts.aligner.calls) == [(1, False, 1), (1, False, 2), (3, True, 2)]  # type: ignore[attr-defined]


def test_a_bad_row_spoils_only_itself(handler: AlignHandler) -> None:
    truncated = picture(1, "JPEG")[:-100]
    replies = ask(
        handler,
        row(picture(1)),
        row(b"no picture"),
        row(truncated),
        row(picture(POISON)),
        b"\xc1",
        row(picture(1), boxes=[[0, 0, 1000, float("nan")]]),
        row(picture(2)),
    )
    kinds = [reply["error"]["type"] if "error" in reply else "fine" for reply in replies]
    assert kinds == [
        "fine",
        "not-an-image",
        "truncated-image",
        "internal",
        "invalid-request",
        "invalid-box",
        "fine",
    ]
    assert len(replies[-1]["outputs"]["faces"]) == 2


def test_the_order_of_rows_does_not_change_their_answers(handler: AlignHandler) -> None:
    rows = [row(picture(n), denoise="off" if n % 2 else "auto") for n in range(5)]
    forth = [reply["outputs"]["faces"] for reply in ask(handler, *rows)]
    back = [reply["outputs"]["faces"] for reply in ask(handler, *rows[::-1])]
    assert forth == back[::-1]


def test_included_pictures_are_pngs_of_the_face_and_of_the_whole(handler: AlignHandler) -> None:
    answer = outputs(handler, picture(1), include=["aligned", "denoised", "overlay"])
    face = answer["faces"][0]
    assert decode_image(face["aligned"], 10**6).pixels.shape == (128, 128, 3)
    assert (decode_image(face["denoised_face"], 10**6).pixels == 150).all()
    overlay = decode_image(answer["overlay"], 10**6).pixels
    assert overlay.shape == (HEIGHT, WIDTH, 3)
    assert (overlay != (1, 90, 90)).any()


def test_a_face_that_was_not_denoised_is_shown_as_it_was_looked_at(handler: AlignHandler) -> None:
    answer = outputs(handler, picture(1), include=["denoised"], denoise="off")
    assert (decode_image(answer["faces"][0]["denoised_face"], 10**6).pixels == 50).all()


def test_boxes_count_in_the_upright_picture(handler: AlignHandler) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    turned = picture(1, exif=exif)
    answer = outputs(handler, turned, boxes=[[10, 165, 90, 195]])
    assert (answer["image"]["width"], answer["image"]["height"]) == (HEIGHT, WIDTH)
    assert answer["image"]["rotated"]
    assert error(handler, picture(1), boxes=[[10, 165, 90, 195]])[0] == "invalid-box"


def test_an_animation_is_noted(handler: AlignHandler) -> None:
    more = [Pillow.new("RGB", (WIDTH, HEIGHT), "blue")]
    answer = outputs(handler, picture(1, "GIF", save_all=True, append_images=more))
    assert answer["image"]["frames"] == 2
    assert "animation of 2 frames" in answer["notes"][0]


def test_a_model_tells_its_version_licence_and_weights(handler: AlignHandler) -> None:
    assert handler.describe() == {
        "name": "align",
        "version": "1.2",
        "sha256": "ab" * 32,
        "weights": "fake",
        "licence": "X",
    }


class CollapsedSecond(FakeAligner):
    """Puts all landmarks of every picture's second face into one place."""

    def align(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], denoise: bool, looks: int
    ) -> list[list[Alignment]]:
        faces = super().align(images, boxes, denoise, looks)
        for found in faces:
            for face in found[1:2]:
                face.landmarks[:] = face.landmarks[0]
        return faces


def test_a_face_whose_landmarks_collapse_has_no_pose_and_no_similarity(
    handler: AlignHandler,
) -> None:
    handler.parts = replace(handler.parts, aligner=CollapsedSecond())
    faces = outputs(handler, picture(3), include=["aligned", "overlay"])["faces"]
    assert [face["pose"] is None for face in faces] == [False, True, False]
    assert [face["similarity"] is None for face in faces] == [False, True, False]
    assert ["aligned" in face for face in faces] == [True, False, True]
