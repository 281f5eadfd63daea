import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.networks.actions import ACTIONS
from handlers.predictors.alignment import AlignmentOptions, AlignmentPredictor
from handlers.processing.boxes import Crop
from handlers.processing.landmarks import MIRROR, bounding_box
from handlers.processing.windows import eye_line
from tests.handlers.engine_fakes import Function, FunctionEngine

Floats = NDArray[np.float32]


def bright_dots(crops: Floats) -> dict[str, Floats]:
    """A landmark network that finds every point where the crop is brightest."""
    red = (crops[:, 0] * 127.5 + 127.5).reshape(len(crops), -1)
    y, x = np.divmod(red.argmax(axis=1), 128)
    points = np.stack([x, y], axis=-1).astype(np.float32)[:, None].repeat(68, axis=1)
    return {"points": points, "spread": np.ones((len(crops), 68), np.float32)}


def tiny_face(shape: Floats, spread: float = 1.0) -> Function:
    """A landmark network that puts an upright face shape around the middle of any crop."""

    def locate(crops: Floats) -> dict[str, Floats]:
        points = np.repeat(shape[None], len(crops), axis=0)
        return {"points": points, "spread": np.full((len(crops), 68), spread, np.float32)}

    return locate


def is_dark(crops: Floats) -> dict[str, Floats]:
    """A classifier of dark crops."""
    dark = (crops.mean(axis=(1, 2, 3)) < -0.5).astype(np.float32)
    return {"probabilities": np.stack([1 - dark, dark], axis=1)}


def brighten(crops: Floats) -> dict[str, Floats]:
    """A denoiser of dark crops."""
    return {"cleaned": crops + np.float32(0.5)}


DARKNESS = {"classify": is_dark, "denoise_illumination": brighten}


def predictor(locate: Function, denoises: bool = False, flip: bool = True) -> AlignmentPredictor:
    engine = FunctionEngine(landmarks=locate, **(DARKNESS if denoises else {}))
    classes = ("illumination",) if denoises else ()
    return AlignmentPredictor(engine, AlignmentOptions(1.3, 128, classes, flip))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("likely_clean", [False, True])
def test_a_face_is_denoised_alike_whatever_was_likely_of_it(flip: bool, likely_clean: bool) -> None:
    engine = FunctionEngine(is_parallel=True, landmarks=bright_dots, **DARKNESS)
    looking = AlignmentPredictor(engine, AlignmentOptions(1.3, 128, ("illumination",), flip))
    pictures = [random_picture(0), random_picture(1) // 8]
    crops = [Crop.around(BOX, 1.3)] * 2
    found = looking.look(pictures, crops, likely_clean=likely_clean)
    alone = [
        predictor(bright_dots, denoises=True, flip=flip).look([picture], crops[:1])[0]
        for picture in pictures
    ]
    assert [face.denoised for face in found] == [False, True]
    for face, expected in zip(found, alone, strict=True):
        assert face.probabilities == expected.probabilities
        np.testing.assert_array_equal(face.landmarks, expected.landmarks)


def symmetric_shape() -> np.ndarray:
    """Points that equal their mirror image in a 128-pixel crop, the eyes above the middle."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(30, 98, (68, 2)).astype(np.float32)
    flipped = shape[MIRROR].copy()
    flipped[:, 0] = 127 - flipped[:, 0]
    shape = (shape + flipped) / 2
    shape[36:42, 0] -= 30
    shape[42:48, 0] += 30
    return shape


def random_picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (200, 300, 3), dtype=np.uint8)


BOX = np.array([60, 40, 180, 160], np.float32)


def test_a_point_seen_in_the_crop_is_reported_in_pixels_of_the_picture() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[90:93, 130:133] = 255
    found = predictor(bright_dots, flip=False).align([picture], [BOX[None]])[0][0]
    np.testing.assert_allclose(found.landmarks[0], [131, 91], atol=1.5)


def test_averaging_with_the_mirror_image_keeps_a_point_where_it_is() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[90:93, 130:133] = 255
    found = predictor(bright_dots, flip=True).align([picture], [BOX[None]])[0][0]
    np.testing.assert_allclose(found.landmarks[0], [131, 91], atol=1.5)


def test_the_faces_of_many_pictures_come_back_in_their_order() -> None:
    pictures = [random_picture(seed) for seed in range(3)]
    boxes = [np.stack([BOX, BOX + 5]), np.zeros((0, 4), np.float32), BOX[None] - 20]
    many = predictor(tiny_face(symmetric_shape())).align(pictures, boxes)
    assert [len(faces) for faces in many] == [2, 0, 1]
    alone = predictor(tiny_face(symmetric_shape())).align([pictures[2]], [boxes[2]])
    np.testing.assert_allclose(many[2][0].landmarks, alone[0][0].landmarks, atol=1e-3)


def test_no_face_needs_no_network() -> None:
    assert predictor(bright_dots).align([random_picture()], [np.zeros((0, 4))]) == [[]]


def test_more_faces_than_a_batch_holds_are_all_found() -> None:
    boxes = np.tile(BOX, (70, 1))
    found = predictor(tiny_face(symmetric_shape())).align([random_picture()], [boxes])
    assert len(found[0]) == 70


def test_the_second_look_is_upright_on_what_the_first_one_found() -> None:
    shape = symmetric_shape()
    turned = shape @ np.array([[0.8, 0.6], [-0.6, 0.8]], np.float32)
    turned = turned - turned.mean(axis=0) + 63.5
    found = predictor(tiny_face(turned), flip=False).align([random_picture()], [BOX[None]], looks=2)
    one_turn = np.arctan2(*eye_line(turned)[::-1])
    both = np.arctan2(*eye_line(found[0][0].landmarks)[::-1])
    assert both == pytest.approx(2 * one_turn, abs=1e-4)


@pytest.mark.parametrize(
    ("turn_deg", "looks", "seen"),
    [(20, 3, [2, 4, 4]), (20, 2, [4, 4]), (0, 3, [2, 4]), (0, 2, [4])],
)
def test_a_face_is_looked_at_again_where_its_own_crop_is_another(
    turn_deg: int, looks: int, seen: list[int]
) -> None:
    """Every crop counts, and so does each mirror image, which only the last two looks have."""
    cosine, sine = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    shape = symmetric_shape() - 63.5
    face = tiny_face(np.asarray(shape @ [[cosine, sine], [-sine, cosine]] + 63.5, np.float32))
    batches: list[int] = []

    def locate(crops: Floats) -> dict[str, Floats]:
        batches.append(len(crops))
        return face(crops)

    boxes = np.stack([BOX, BOX + 5])
    predictor(locate).align([random_picture()], [boxes], looks=looks)
    assert batches == seen


def test_a_mirror_image_seen_beside_its_crop_tells_the_same_as_behind_it() -> None:
    picture, boxes = random_picture(), np.stack([BOX, BOX + 20])
    (behind,) = predictor(bright_dots).align([picture], [boxes])
    beside = predictor(bright_dots)
    beside.engine.is_parallel = True
    (found,) = beside.align([picture], [boxes])
    for one, other in zip(found, behind, strict=True):
        np.testing.assert_array_equal(one.landmarks, other.landmarks)
        assert one.confidence == other.confidence


def test_a_dark_crop_is_denoised_and_a_bright_one_is_not() -> None:
    dark, bright = np.full((200, 300, 3), 5, np.uint8), np.full((200, 300, 3), 200, np.uint8)
    whole = predictor(tiny_face(symmetric_shape()), denoises=True)
    first, second = (faces[0] for faces in whole.align([dark, bright], [BOX[None]] * 2))
    assert first.denoised
    assert first.degradation == "illumination"
    assert whole.clean(first).mean() > first.crop.mean() + 30
    assert not second.denoised
    assert whole.clean(second) is second.crop
    assert second.probabilities == {"clean": 1.0, "illumination": 0.0}


def test_denoising_can_be_turned_off() -> None:
    dark = np.full((200, 300, 3), 5, np.uint8)
    whole = predictor(tiny_face(symmetric_shape()), denoises=True)
    face = whole.align([dark], [BOX[None]], denoise=False)[0][0]
    assert not face.denoised
    assert face.degradation == "clean"


def test_confidence_falls_as_the_maps_spread() -> None:
    values = []
    for spread in (11.0, 20.0, 40.0):
        whole = predictor(tiny_face(symmetric_shape(), spread))
        values.append(whole.align([random_picture()], [BOX[None]])[0][0].confidence)
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9
    assert values[-1] < 0.1


def test_a_network_without_landmarks_is_refused() -> None:
    with pytest.raises(ValueError, match="landmarks"):
        AlignmentPredictor(FunctionEngine(), AlignmentOptions(1.3, 128))


def test_the_result_box_of_a_face_lies_around_its_landmarks() -> None:
    found = predictor(tiny_face(symmetric_shape())).align([random_picture()], [BOX[None]])[0][0]
    box = bounding_box(found.landmarks)
    assert box[0] < box[2]
    assert box[1] < box[3]


@pytest.mark.parametrize("denoise", [True, False])
def test_a_direct_denoiser_says_it_denoised_only_when_it_did(denoise: bool) -> None:
    engine = FunctionEngine(landmarks=tiny_face(symmetric_shape()), denoise=brighten)
    whole = AlignmentPredictor(engine, AlignmentOptions(1.3, 128))
    face = whole.align([random_picture()], [BOX[None]], denoise=denoise)[0][0]
    assert face.denoised == denoise
    assert (whole.clean(face) is not face.crop) == denoise


def winks(crops: Floats) -> dict[str, Floats]:
    """A landmark network that sees a wink of the person's left eye in the bright half."""
    rows = len(crops)
    actions = np.full((rows, len(ACTIONS)), -0.1, np.float32)
    left, right = crops[..., :64].mean(axis=(1, 2, 3)), crops[..., 64:].mean(axis=(1, 2, 3))
    actions[:, ACTIONS.index("eyeBlinkRight")] = (left > right) * 0.8
    actions[:, ACTIONS.index("eyeBlinkLeft")] = (right > left) * 1.4
    points, spread = np.full((rows, 68, 2), 64, np.float32), np.ones((rows, 68), np.float32)
    return {"points": points, "spread": spread, "actions": actions}


def test_actions_are_averaged_with_their_mirror_image_and_stay_within_0_and_1() -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:, 64:] = 200
    box = np.array([[0, 0, 127, 127]], np.float32)
    ((face,),) = predictor(winks).align([picture], [box])
    assert face.actions is not None
    assert face.actions["eyeBlinkLeft"] == 1.0  # the mean of 1.4 and 0.8
    assert face.actions["eyeBlinkRight"] == face.actions["jawOpen"] == 0.0
