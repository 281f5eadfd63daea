"""The face detector with its shipped weights, on a public-domain portrait."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handlers.checkpoint import load_checkpoint
from handlers.engines.choice import load_engine
from handlers.engines.parts import detection_parts
from handlers.engines.torch_engine import TorchEngine
from handlers.networks.mtcnn import MTCNN
from handlers.predictors.detection import cascade
from handlers.predictors.detection.detector import (
    TURNS_DEG,
    Detection,
    FaceDetector,
    search_turned,
    window,
)
from handlers.store import load_detector

HEIGHT, WIDTH = 300, 400
ALL_TURNS = [turn for group in TURNS_DEG for turn in group]
Image = NDArray[np.uint8]
STORE = Path(__file__).parents[2] / "model_store"
PORTRAIT = Path(__file__).parents[1] / "assets" / "astronaut.jpg"
# What the `mtcnn` package 1.0.0 finds under TensorFlow 2.21: box, then eyes, nose, mouth corners.
REFERENCE = {
    "portrait": [
        ([180.431, 64.548, 264.717, 172.115],
         [[203.839, 100.209], [245.743, 102.701], [224.576, 126.532], [201.366, 138.624],
          [244.479, 140.78]]),
    ],
    "mirrored": [
        ([132.059, 68.947, 216.434, 171.303],
         [[152.883, 103.098], [195.295, 101.103], [175.267, 127.779], [153.866, 140.599],
          [197.707, 138.846]]),
    ],
    "group": [
        ([388.197, 162.675, 474.89, 271.291],
         [[409.157, 203.167], [451.541, 200.597], [431.8, 228.358], [410.644, 240.087],
          [453.843, 238.752]]),
        ([110.197, 69.93, 153.918, 126.276],
         [[121.422, 89.91], [143.122, 91.116], [132.018, 103.962], [120.166, 109.343],
          [142.114, 110.626]]),
    ],
}  # fmt: skip


class BrightSpot:
    """Finds a box of 40 pixels around the brightest pixel where the left of it is darker."""

    def detect(
        self, images: Sequence[np.ndarray], min_face_px: int, max_faces: int
    ) -> list[list[Detection]]:
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> list[Detection]:
        grey = image.mean(axis=2)
        y, x = np.unravel_index(grey.argmax(), grey.shape)
        if grey[y, x] < 100:
            return []
        box = np.array([x - 20, y - 20, x + 20, y + 20], np.float32)
        points = np.repeat(np.array([[x, y]], np.float32), 5, axis=0)
        return [Detection(box, 0.9, points, box)]


@pytest.mark.parametrize("turn", ALL_TURNS)
def test_a_face_comes_back_to_its_place_with_its_roll(turn: int) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[118:123, 88:93] = 255
    (face,) = search_turned(BrightSpot(), picture, 40, [turn])
    assert face.roll_rad == pytest.approx(np.radians(turn))
    np.testing.assert_allclose(face.points, [[90, 120]] * 5, atol=3)
    np.testing.assert_allclose(face.landmark_box, [70, 100, 110, 140], atol=3)


def test_of_one_face_found_at_several_turns_one_is_left() -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[118:123, 88:93] = 255
    assert len(search_turned(BrightSpot(), picture, 40, ALL_TURNS[:3])) == 1


def test_a_large_picture_is_turned_small() -> None:
    large = np.zeros((3000, 4000, 3), np.uint8)
    assert window(large, 90).extract(large).shape == (640, 640, 3)
    assert search_turned(BrightSpot(), large, 40, [180]) == []


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return load_detector(STORE)


@pytest.fixture(scope="module")
def pictures() -> dict[str, Image]:
    portrait = np.asarray(cv2.imread(str(PORTRAIT), cv2.IMREAD_COLOR_RGB), np.uint8)
    group = np.full((480, 640, 3), 90, np.uint8)
    group[40:296, 20:276] = portrait[::2, ::2]
    group[100:356, 300:556] = portrait[:256, 100:356][:, ::-1]
    mirrored = np.ascontiguousarray(portrait[:300, 60:400][:, ::-1])
    return {"portrait": portrait, "mirrored": mirrored, "group": group}


def untrained() -> TorchEngine:
    network = MTCNN()
    return TorchEngine(network, detection_parts(network))


def assert_same(found: list[Detection], wanted: list[Detection], within: float = 1e-3) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        for name in ("box", "points", "landmark_box"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=within)


@pytest.mark.parametrize("name", REFERENCE)
def test_faces_are_those_of_the_reference_within_two_pixels_and_their_points_within_one(
    detector: FaceDetector, pictures: dict[str, Image], name: str
) -> None:
    found = detector.detect([pictures[name]], min_face_px=20)[0]
    assert len(found) == len(REFERENCE[name])
    for face, (box, points) in zip(found, REFERENCE[name], strict=True):
        np.testing.assert_allclose(face.box, box, atol=2)
        np.testing.assert_allclose(face.points, points, atol=1)
        assert face.score > 0.99


def test_the_landmark_box_is_tighter_than_the_face_and_holds_its_points(
    detector: FaceDetector, pictures: dict[str, Image]
) -> None:
    face = detector.detect([pictures["portrait"]])[0][0]
    assert (face.points > face.landmark_box[:2]).all()
    assert (face.points < face.landmark_box[2:]).all()
    assert face.box[1] + 15 < face.landmark_box[1] < face.points[:2, 1].min()
    assert abs(face.landmark_box[3] - face.box[3]) < 10


def test_pictures_seen_together_give_the_faces_they_give_alone_in_their_order(
    detector: FaceDetector, pictures: dict[str, Image]
) -> None:
    blank = np.full_like(pictures["portrait"], 90)
    batch = [pictures["group"], pictures["portrait"], blank, pictures["mirrored"]]
    batch.append(np.ascontiguousarray(pictures["portrait"][:, ::-1]))
    together = detector.detect(batch)
    assert [len(faces) for faces in together] == [2, 1, 0, 1, 1]
    for picture, faces in zip(batch, together, strict=True):
        assert_same(faces, detector.detect([picture])[0], within=0.05)


def test_the_most_prominent_faces_come_first_and_are_kept(
    detector: FaceDetector, pictures: dict[str, Image]
) -> None:
    both = detector.detect([pictures["group"]])[0]
    assert both[0].box[0] > both[1].box[0]
    assert_same(detector.detect([pictures["group"]], max_faces=1)[0], both[:1])
    assert detector.detect([pictures["group"]], max_faces=0) == [[]]


def test_smaller_faces_than_asked_for_are_not_reported(
    detector: FaceDetector, pictures: dict[str, Image]
) -> None:
    assert len(detector.detect([pictures["group"]], min_face_px=100)[0]) == 1
    assert detector.detect([pictures["group"]], min_face_px=300) == [[]]


def test_a_face_that_the_border_cuts_is_found_where_it_is(
    detector: FaceDetector, pictures: dict[str, Image]
) -> None:
    whole = detector.detect([pictures["portrait"]])[0][0]
    cut_off = pictures["portrait"][85:, 195:]
    cut = detector.detect([np.ascontiguousarray(cut_off)])[0][0]
    np.testing.assert_allclose(cut.points + (195, 85), whole.points, atol=8)
    assert cut.box.min() < 0


@pytest.mark.parametrize("light", [0.5, 0.2, 0.1])
def test_darkness_does_not_hide_a_face(
    detector: FaceDetector, pictures: dict[str, Image], light: float
) -> None:
    whole = detector.detect([pictures["portrait"]])[0]
    dark = np.rint(pictures["portrait"] * light).astype(np.uint8)
    assert_same(detector.detect([dark])[0], whole, within=6)


def test_a_face_lost_in_noise_is_found_at_the_second_look(
    detector: FaceDetector, pictures: dict[str, Image]
) -> None:
    whole = detector.detect([pictures["portrait"]])[0]
    noise = np.random.default_rng(0).normal(0, 60, pictures["portrait"].shape)
    noisy = np.clip(pictures["portrait"] + noise, 0, 255).astype(np.uint8)
    assert_same(detector.detect([noisy])[0], whole, within=12)


@pytest.mark.parametrize(
    "shape", [(1, 1), (11, 300), (12, 12), (13, 500), (40, 40), (39, 640), (12, 33_000)]
)
@pytest.mark.parametrize("value", [0, 127, 255])
def test_small_and_odd_pictures_have_no_faces(
    detector: FaceDetector, shape: tuple[int, int], value: int
) -> None:
    picture = np.full((*shape, 3), value, np.uint8)
    assert detector.detect([picture], min_face_px=12) == [[]]
    assert detector.detect([picture]) == [[]]


def test_no_pictures_give_no_answers(detector: FaceDetector) -> None:
    assert detector.detect([]) == []


def test_a_large_picture_is_searched_in_a_small_copy(pictures: dict[str, Image]) -> None:
    engine, stored = load_engine(STORE / "mtcnn")
    bounds = {"max_picture_px": 60_000, "max_level_px": 10_000}
    bounded = FaceDetector.from_config(engine, {**stored.config, "bounds": bounds})
    found = bounded.detect([pictures["portrait"]])[0]
    assert_same(found, load_detector(STORE).detect([pictures["portrait"]])[0], within=8)


def test_what_is_looked_at_in_parts_is_what_is_seen_at_once(
    detector: FaceDetector, pictures: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [pictures["group"], np.ascontiguousarray(pictures["group"][:, ::-1])]
    monkeypatch.setattr(cascade, "MOST_PX_AT_ONCE", 10**9)
    at_once = detector.detect(batch, min_face_px=20)
    monkeypatch.setattr(cascade, "MOST_PX_AT_ONCE", 10_000)
    for found, wanted in zip(detector.detect(batch, min_face_px=20), at_once, strict=True):
        assert_same(found, wanted)


def test_bounds_on_candidates_keep_the_best(pictures: dict[str, Image]) -> None:
    engine, stored = load_engine(STORE / "mtcnn")
    cascade = {**stored.config["cascade"], "max_level_candidates": 20, "max_candidates": 10}
    tight = FaceDetector.from_config(engine, {**stored.config, "cascade": cascade})
    assert len(tight.detect([pictures["portrait"]])[0]) == 1


def test_networks_that_know_nothing_do_no_harm() -> None:
    config = load_checkpoint(STORE / "mtcnn").config
    eager = dict.fromkeys(("proposal_threshold", "refine_threshold", "output_threshold"), 0.0)
    torch.manual_seed(0)
    config = {**config, "cascade": {**config["cascade"], **eager, "max_candidates": 50}}
    blind = FaceDetector.from_config(untrained(), config)
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    for face in blind.detect([picture], min_face_px=12)[0]:
        assert all(np.isfinite(value).all() for value in dataclasses.astuple(face))


def test_an_unknown_setting_is_refused() -> None:
    config = load_checkpoint(STORE / "mtcnn").config
    wrong = {**config, "bounds": {**config["bounds"], "max_pixels": 1}}
    with pytest.raises(TypeError, match="max_pixels"):
        FaceDetector.from_config(untrained(), wrong)


@pytest.mark.parametrize(
    "picture", [np.zeros((20, 20), np.uint8), np.zeros((20, 20, 3), np.float32)]
)
def test_what_is_no_picture_is_refused(detector: FaceDetector, picture: Image) -> None:
    with pytest.raises(ValueError, match="uint8"):
        detector.detect([picture])


def test_faces_smaller_than_a_cell_cannot_be_asked_for(detector: FaceDetector) -> None:
    with pytest.raises(ValueError, match="at least 12"):
        detector.detect([np.zeros((50, 50, 3), np.uint8)], min_face_px=11)
