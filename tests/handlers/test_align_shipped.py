"""The align handler with the weights of the model store, on a real portrait."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from handlers.align import AlignHandler
from handlers.processing.image import decode_image
from handlers.processing.landmarks import bounding_box
from tests.handlers.align_fakes import ROOT, STORE, ask, outputs, picture, row

ASTRONAUT = (ROOT / "tests" / "assets" / "astronaut.jpg").read_bytes()
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


@needs_weights
def test_small_faces_anywhere_in_a_large_picture_all_come_back_with_one_pose(
    served: AlignHandler,
) -> None:
    pixels = decode_image(ASTRONAUT, 10**6).pixels[20:220, 130:330]
    small = np.asarray(Pillow.fromarray(pixels).resize((106, 106), Pillow.Resampling.BOX))
    scene = np.full((1500, 3000, 3), 110, np.uint8)
    places = [(x, y) for y in (20, 600, 1380) for x in (10, 1400, 2880)]
    for x, y in places:
        scene[y : y + 106, x : x + 106] = small
    buffer = io.BytesIO()
    Pillow.fromarray(scene).save(buffer, "PNG")
    faces = outputs(served, buffer.getvalue())["faces"]
    assert len(faces) == len(places)
    boxes = [face["box"] for face in faces]
    faces += outputs(served, buffer.getvalue(), boxes=boxes)["faces"]
    assert len(faces) == 2 * len(places)
    angles = np.array(
        [[face["pose"][f"{name}_deg"] for name in ("pitch", "yaw")] for face in faces]
    )
    assert np.ptp(angles, axis=0).max() < 3.0  # the detector's boxes differ by fractions of a pixel


def turned(degrees: int) -> bytes:
    """The portrait turned clockwise, on a grey ground."""
    portrait = Pillow.open(io.BytesIO(ASTRONAUT)).convert("RGB").crop((100, 0, 340, 240))
    buffer = io.BytesIO()
    portrait.rotate(-degrees, Pillow.Resampling.BICUBIC, expand=True, fillcolor=(90, 90, 90)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


@needs_weights
@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_a_face_is_found_at_any_roll_with_its_roll(served: AlignHandler, degrees: int) -> None:
    (face,) = outputs(served, turned(degrees))["faces"]
    low, high = np.min(face["landmarks"], axis=0), np.max(face["landmarks"], axis=0)
    assert np.abs(np.array(face["box"]) - [*low, *high]).max() < 0.25 * (high - low).max()
    off = (face["pose"]["roll_deg"] - degrees + 180) % 360 - 180
    assert abs(off) < 12  # the portrait itself is tilted a little
    assert face["quality"] > 0.6
    assert face["score"] is not None


@needs_weights
@pytest.mark.parametrize("degrees", [45, 90, 180, 270, 300])
def test_two_faces_beside_each_other_are_found_at_any_roll(
    served: AlignHandler, degrees: int
) -> None:
    with Pillow.open(io.BytesIO(ASTRONAUT)) as portrait:
        face = portrait.convert("RGB").crop((150, 20, 310, 200))
    ground = Pillow.new("RGB", (640, 640), (128, 128, 128))
    ground.paste(face, (160, 230))
    ground.paste(face.resize((140, 158)), (320, 240))
    buffer = io.BytesIO()
    turned = ground.rotate(-degrees, Pillow.Resampling.BICUBIC, fillcolor=(128, 128, 128))
    turned.save(buffer, "PNG")
    rolls = [face["pose"]["roll_deg"] for face in outputs(served, buffer.getvalue())["faces"]]
    assert len(rolls) == 2
    assert all(abs((roll - degrees + 180) % 360 - 180) < 12 for roll in rolls)


@needs_weights
def test_what_the_detector_takes_for_a_face_is_none_by_its_quality(served: AlignHandler) -> None:
    rng = np.random.default_rng(5)
    pixels = decode_image(ASTRONAUT, 10**6).pixels[60:200, 150:300]
    tiles = [pixels[y : y + 20, x : x + 20] for y in range(0, 140, 20) for x in range(0, 140, 20)]
    order = rng.permutation(len(tiles))
    mixed = np.vstack(
        [np.hstack([tiles[order[7 * row + column]] for column in range(7)]) for row in range(7)]
    )
    buffer = io.BytesIO()
    Pillow.fromarray(mixed).resize((420, 420)).save(buffer, "PNG")
    assert outputs(served, buffer.getvalue())["faces"] == []
    kept = outputs(served, buffer.getvalue(), min_quality=0.0)["faces"]
    assert all(face["quality"] < 0.15 for face in kept)


@needs_weights
@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_turned_face_beside_an_upright_one_is_found_with_its_roll(
    served: AlignHandler, quarter: int
) -> None:
    pixels = decode_image(ASTRONAUT, 10**6).pixels[:260, 100:360]
    both = np.hstack([pixels, np.full_like(pixels[:, :40], 90), np.rot90(pixels, -quarter)])
    data = io.BytesIO()
    Pillow.fromarray(both).save(data, "PNG")
    upright, turned = sorted(
        outputs(served, data.getvalue())["faces"], key=lambda face: face["landmarks"][30][0]
    )
    rolls = [roll_deg(face["landmarks"]) for face in (upright, turned)]
    assert abs(rolls[0]) < 15
    assert abs((rolls[1] - rolls[0] - 90 * quarter + 180) % 360 - 180) < 10


def roll_deg(landmarks: list[list[float]]) -> float:
    """The direction from the outer corner of one eye to that of the other, clockwise."""
    x, y = np.subtract(landmarks[45], landmarks[36])
    return float(np.degrees(np.arctan2(y, x)))
