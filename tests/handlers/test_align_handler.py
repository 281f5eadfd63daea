"""The align handler: pictures in, faces out, row by row; first with fakes, then with the store."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from handlers.align import AlignHandler, AlignParts
from handlers.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from handlers.predictors.alignment import Alignment
from handlers.predictors.detection import Detection
from handlers.processing.box_checks import box_fault
from handlers.processing.image import decode_image
from handlers.processing.landmarks import bounding_box
from handlers.processing.pose import PoseEstimator
from handlers.processing.quality import landmark_quality
from handlers.wire import pack, unpack

ROOT = Path(__file__).parents[2]
STORE = ROOT / "model_store"
ASTRONAUT = (ROOT / "tests" / "assets" / "astronaut.jpg").read_bytes()
SHAPES = load_checkpoint(STORE / "face_shape").tensors
MEAN = SHAPES["mean_shape"].numpy()
WIDTH, HEIGHT = 200, 160
POISON = 250


class FakeDetector:
    """Finds as many faces as the picture's red value says; a poisoned picture makes it fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, int]] = []

    def detect(
        self, images: Sequence[np.ndarray], min_face_px: int, max_faces: int
    ) -> list[list[Detection]]:
        self.calls.append((len(images), min_face_px, max_faces))
        if any(image[0, 0, 0] == POISON for image in images):
            raise RuntimeError("poisoned")
        return [[detection(n) for n in range(image[0, 0, 0])][:max_faces] for image in images]


def detection(n: int) -> Detection:
    box = np.array([10 + 20 * n, 10, 90 + 20 * n, 100], np.float32)
    return Detection(box, 0.9 - n / 10, np.zeros((5, 2), np.float32), box + (2, 20, -2, 3))


class FakeAligner:
    """Lays the mean shape into each box; what it was told of denoising shows in `denoised`."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bool, int]] = []

    def align(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], denoise: bool, looks: int
    ) -> list[list[Alignment]]:
        self.calls.append((len(images), denoise, looks))
        return [[self.face(box, denoise) for box in rows] for rows in boxes]

    def face(self, box: np.ndarray, denoise: bool) -> Alignment:
        low, high = MEAN.min(axis=0), MEAN.max(axis=0)
        landmarks = (MEAN - low) / (high - low) * (box[2:] - box[:2]) + box[:2]
        crop = np.full((128, 128, 3), 50, np.uint8)
        return Alignment(
            landmarks.astype(np.float32),
            0.8,
            "blur" if denoise else "clean",
            {"clean": 0.25, "blur": 0.75} if denoise else {"clean": 1.0},
            denoise,
            crop,
            crop + 100 if denoise else None,
        )


@pytest.fixture
def handler() -> AlignHandler:
    checkpoint = Checkpoint("fake", "1.2", {"licence": "X", "channels": 8}, {}, "ab" * 32)
    pose = PoseEstimator(SHAPES["mean_shape_3d"].numpy())
    parts = AlignParts(FakeDetector(), FakeAligner(), checkpoint, MEAN, pose)
    return AlignHandler(Path("nowhere"), load=lambda store, device: parts)


def picture(faces: int = 1, format: str = "PNG", **options: Any) -> bytes:
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pixels[..., 0] = faces
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def row(image: object, **options: object) -> bytes:
    return pack({"inputs": {"image": image}, "options": options})


def ask(handler: AlignHandler, *rows: bytes) -> list[dict[str, Any]]:
    return [unpack(reply) for reply in handler.handle(list(rows))]


def outputs(handler: AlignHandler, image: bytes, **options: object) -> dict[str, Any]:
    (reply,) = ask(handler, row(image, **options))
    assert "error" not in reply, reply["error"]
    return dict(reply["outputs"])


def error(handler: AlignHandler, image: object, **options: object) -> tuple[str, str]:
    (reply,) = ask(handler, row(image, **options))
    return reply["error"]["type"], reply["error"]["detail"]


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
    assert sorted(face["pose"]) == ["pitch_deg", "roll_deg", "yaw_deg"]
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


def test_the_limit_of_pixels_is_the_callers(handler: AlignHandler) -> None:
    kind, detail = error(handler, picture(1), max_pixels=WIDTH * HEIGHT - 1)
    assert kind == "too-many-pixels"
    assert f"{WIDTH} x {HEIGHT}" in detail


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ([10, 20, 10, 40], "no area"),
        ([30, 20, 10, 40], "no area"),
        ([0, 0, float("nan"), 10], "finite"),
        ([0, 0, float("inf"), 10], "finite"),
        ([0, 0, 10], "four"),
        ([0, 0, 10, "10"], "four"),
        ([0, 0, 10, True], "four"),
        (7, "four"),
        ([300, 10, 350, 50], "outside"),
        ([10, -50, 90, -1], "outside"),
        ([10, 10, 10.5, 10.5], "smaller than a pixel"),
        ([-1e30, -1e30, 1e30, 1e30], "10 times"),
    ],
)
def test_a_wrong_box_is_named_with_its_fault(handler: AlignHandler, box: object, why: str) -> None:
    kind, detail = error(handler, picture(1), boxes=[[0, 0, 50, 50], box])
    assert kind == "invalid-box"
    assert detail.startswith("boxes[1]")
    assert why in detail


def test_a_whole_number_beyond_all_floats_is_no_coordinate() -> None:
    assert box_fault([0, 0, 10**400, 5], 100, 100) is not None


def test_boxes_that_are_no_list_or_too_many_are_refused(handler: AlignHandler) -> None:
    assert error(handler, picture(1), boxes="all")[0] == "invalid-box"
    assert error(handler, picture(1), boxes=[[0, 0, 9, 9]] * 65)[0] == "invalid-box"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_faces": 0}, "max_faces is 0"),
        ({"max_faces": 65}, "1 to 64"),
        ({"max_faces": True}, "max_faces"),
        ({"min_face_px": 11}, "min_face_px is 11"),
        ({"min_face_px": 40.5}, "40.5"),
        ({"denoise": "on"}, "auto, off"),
        ({"denoise": None}, "denoise"),
        ({"include": ["all"]}, "'all'"),
        ({"include": "aligned"}, "a list is needed"),
        ({"include": [["aligned"]]}, "include"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_option_is_named(
    handler: AlignHandler, options: dict[str, object], named: str
) -> None:
    kind, detail = error(handler, picture(1), **options)
    assert kind == "invalid-request"
    assert named in detail


@pytest.mark.parametrize("image", [None, "text", [1, 2], np.zeros((4, 4, 3), np.uint8)])
def test_an_image_that_is_not_bytes_is_refused(handler: AlignHandler, image: object) -> None:
    assert error(handler, image)[0] == "invalid-request"


def test_a_model_tells_its_version_licence_and_weights(handler: AlignHandler) -> None:
    assert handler.describe() == {
        "name": "align",
        "version": "1.2",
        "sha256": "ab" * 32,
        "weights": "fake",
        "licence": "X",
    }


def test_a_store_without_weights_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="dfa"):
        AlignHandler(tmp_path)


def test_every_doubt_lowers_the_quality() -> None:
    best = landmark_quality(0.9, 0.99, MEAN, 1.0)
    assert 0.8 < best < 1
    assert landmark_quality(0.5, 0.99, MEAN, 1.0) < best
    assert landmark_quality(0.9, 0.8, MEAN, 1.0) < best
    assert landmark_quality(0.9, 0.99, MEAN / 4, 1.0) < best
    assert landmark_quality(0.9, 0.99, MEAN, 0.1) < best
    assert landmark_quality(0.9, None, MEAN, 1.0) >= best
    assert landmark_quality(0.0, 0.0, MEAN, 0.0) == 0


needs_weights = pytest.mark.skipif(
    not (STORE / "dfa").is_dir(), reason="model_store/dfa holds no weights yet"
)


@pytest.fixture(scope="module")
def served() -> AlignHandler:
    return AlignHandler(STORE)


@needs_weights
def test_the_portrait_has_one_upright_face_in_its_place(served: AlignHandler) -> None:
    (face,) = outputs(served, ASTRONAUT)["faces"]
    points = np.array(face["landmarks"])
    # By eye on the 512 x 512 portrait: outer eye corners, nose tip, mouth corners, chin.
    seen = {36: (193, 101), 45: (259, 103), 30: (226, 124), 48: (203, 140), 54: (244, 141)}
    for index, place in {**seen, 8: (221, 178)}.items():
        assert np.linalg.norm(points[index] - place) < 6, index
    assert face["score"] > 0.9
    assert face["quality"] > 0.3
    assert abs(face["pose"]["yaw_deg"]) < 20
    assert abs(face["pose"]["pitch_deg"]) < 20
    assert abs(face["pose"]["roll_deg"]) < 10


@needs_weights
def test_a_returned_box_given_back_finds_the_same_face(served: AlignHandler) -> None:
    (face,) = outputs(served, ASTRONAUT)["faces"]
    (again,) = outputs(served, ASTRONAUT, boxes=[face["box"]])["faces"]
    # A detected face is looked at twice, one in a caller's box once: 2 % of its 90 pixels apart.
    np.testing.assert_allclose(again["landmarks"], face["landmarks"], atol=2.0)


@needs_weights
def test_a_row_among_others_is_answered_as_alone(served: AlignHandler) -> None:
    (alone,) = ask(served, row(ASTRONAUT, denoise="off"))
    among = ask(served, row(b"x"), row(ASTRONAUT, denoise="off"), row(picture(0)), row(ASTRONAUT))
    assert among[0]["error"]["type"] == "not-an-image"
    assert among[2]["outputs"]["faces"] == []
    first, second = alone["outputs"]["faces"], among[1]["outputs"]["faces"]
    np.testing.assert_allclose(first[0]["landmarks"], second[0]["landmarks"], atol=0.05)


@needs_weights
def test_landmarks_move_with_the_picture(served: AlignHandler) -> None:
    pixels = decode_image(ASTRONAUT, 10**6).pixels
    (found,) = outputs(served, ASTRONAUT)["faces"]
    (face,) = outputs(served, ASTRONAUT, boxes=[found["box"]])["faces"]
    buffer = io.BytesIO()
    Pillow.fromarray(np.pad(pixels, ((40, 0), (25, 0), (0, 0)))).save(buffer, "PNG")
    x1, y1, x2, y2 = face["box"]
    moved = outputs(served, buffer.getvalue(), boxes=[[x1 + 25, y1 + 40, x2 + 25, y2 + 40]])
    points = np.array(moved["faces"][0]["landmarks"]) - (25, 40)
    np.testing.assert_allclose(points, face["landmarks"], atol=1.0)
    box = bounding_box(np.array(face["landmarks"], np.float32))
    assert x1 - 20 < box[0] < box[2] < x2 + 20


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


def test_a_face_whose_landmarks_collapse_is_left_out_and_told(handler: AlignHandler) -> None:
    handler.parts = replace(handler.parts, aligner=CollapsedSecond())
    answer = outputs(handler, picture(3))
    assert len(answer["faces"]) == 2
    assert answer["notes"] == ["left out, without the shape of a face: 1"]
