"""Made videos: the landmarks are where the picture shows them, and a seed fixes everything."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.processing.boxes import Crop
from handlers.processing.landmarks import bounding_box
from handlers.training.datasets.folders import FaceSample, write_pts
from handlers.training.synthetic.expressions import draw_expression
from handlers.training.synthetic.motion import MOTIONS, Track, draw_pose, grid
from handlers.training.synthetic.occluders import PAINTS
from handlers.training.synthetic.scene import Degradation, Scene
from handlers.training.synthetic.stills import Still, Stills, read_still
from handlers.training.synthetic.style import Style, draw_scene, make_scene

Floats = NDArray[np.float32]

SIZE = 176
CLEAR = Style(
    motions=("sway",), covered=0, degraded=0, noise=(0, 0), drift=(0, 0), gain=(1, 1),
    exposure=(0, 0), tight=0, face_px=(150, 150), liveliness=(1, 1),
)  # fmt: skip


def face_shape() -> Floats:
    """68 points laid out as a face, about 80 pixels wide, in a picture of `SIZE` pixels."""
    x = np.linspace(-1, 1, 17)
    jaw = np.stack([x, 1.1 * np.sqrt(1 - 0.98 * x**2) - 0.25], axis=1)
    brows = np.concatenate(
        [np.stack([np.linspace(*span, 5), [-0.5, -0.58, -0.6, -0.58, -0.52]], axis=1)
         for span in ((-0.8, -0.2), (0.2, 0.8))]
    )  # fmt: skip
    nose = [(0, -0.35), (0, -0.2), (0, -0.05), (0, 0.1)]
    nose += [(-0.2, 0.2), (-0.1, 0.23), (0, 0.25), (0.1, 0.23), (0.2, 0.2)]
    eye = [(-0.18, 0), (-0.07, -0.08), (0.07, -0.08), (0.18, 0), (0.07, 0.08), (-0.07, 0.08)]
    eyes = [(x + side * 0.45, y - 0.33) for side in (-1, 1) for x, y in eye]
    turn = np.linspace(np.pi, -np.pi, 13)[:-1]
    lips = np.stack([0.36 * np.cos(turn), -0.15 * np.sin(turn) + 0.5], axis=1)
    inner = np.linspace(np.pi, -np.pi, 9)[:-1]
    mouth = np.stack([0.26 * np.cos(inner), -0.05 * np.sin(inner) + 0.5], axis=1)
    points = np.concatenate([jaw, brows, nose, eyes, lips, mouth])
    return np.asarray(points * 40 + SIZE / 2, np.float32)


def marked(points: Floats, index: int) -> Still:
    """A grey face with a bright dot drawn at one landmark."""
    picture = np.full((SIZE, SIZE, 4), 255, np.uint8)
    picture[..., :3] = 40
    x, y = np.arange(SIZE, dtype=np.float32)[None, :], np.arange(SIZE, dtype=np.float32)[:, None]
    far = (x - points[index, 0]) ** 2 + (y - points[index, 1]) ** 2
    picture[..., :3] += (200 * np.exp(-far / (2 * 1.5**2))[..., None]).astype(np.uint8)
    return Still(picture, points)


def brightest(crop: NDArray[np.uint8], near: Floats) -> NDArray[np.float64]:
    """The centre of brightness around a place, in pixels."""
    values = np.clip(crop[..., 0].astype(np.float64) - 70, 0, None)
    y, x = np.mgrid[: len(crop), : len(crop)]
    values[(x - near[0]) ** 2 + (y - near[1]) ** 2 > 14**2] = 0
    assert values.sum() > 0
    return np.array([(values * x).sum(), (values * y).sum()]) / values.sum()


@pytest.fixture
def stills(tmp_path: Path) -> Stills:
    """Two faces on disk."""
    rng = np.random.default_rng(1)
    samples = []
    for name in ("one", "two"):
        image, points = tmp_path / f"{name}.png", tmp_path / f"{name}.pts"
        pixels = cv2.GaussianBlur(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8), (0, 0), 2)
        cv2.imwrite(str(image), pixels)
        write_pts(points, face_shape())
        samples.append(FaceSample(image, face_shape(), None, "made"))
    return Stills([(samples, 1.0)], 80)


def draw(stills: Stills, seed: int, style: Style, frames: int = 8) -> Scene:
    return draw_scene(np.random.default_rng(seed), stills, style, frames)


@pytest.mark.parametrize("index", [0, 8, 13, 19, 24, 30, 36, 38, 43, 48, 51, 57, 62, 66])
def test_a_dot_at_a_landmark_is_found_where_the_truth_says(index: int) -> None:
    still, worst = marked(face_shape(), index), 0.0
    for seed in range(4):
        scene = make_scene(np.random.default_rng([seed, index]), still, still, CLEAR, 20)
        scene = replace(scene, backdrop=np.zeros_like(scene.backdrop))
        for frame in (0, 11):
            truth = scene.truth(frame)
            crop = Crop.around(bounding_box(truth.points), 1.6, 320)
            place = crop.to_crop(truth.points)[index]
            found = brightest(scene.look(frame, crop), place)
            worst = max(worst, float(np.linalg.norm(found - place)) / 200)
    # In widths of the face; a stretched dot's centre of brightness is not quite its peak.
    assert worst < 0.012


def test_landmarks_move_as_expressions_do() -> None:
    points = face_shape()
    head = Track(np.zeros((len(grid(4)), 6)))
    expression = draw_expression(np.random.default_rng(0), points, SIZE, 4, 0.0, head)
    rest = expression.move(points, 1.0)
    acts = expression.acts.values.copy()
    acts[:, -1] = 1.0  # the mouth
    opened = replace(expression, acts=Track(acts)).move(points, 1.0)
    assert np.ptp(opened[[62, 66], 1]) > np.ptp(rest[[62, 66], 1]) + 3
    acts[:, -1], acts[:, 4] = 0.0, 1.0  # the left lid
    closed = replace(expression, acts=Track(acts)).move(points, 1.0)
    assert np.ptp(closed[[37, 41], 1]) < 0.6 * np.ptp(rest[[37, 41], 1])
    np.testing.assert_allclose(closed[42:48], rest[42:48], atol=0.2)


def test_a_seed_fixes_every_pixel_and_another_changes_them(stills: Stills) -> None:
    style = Style(covered=1.0, degraded=1.0, leaving=0.5)
    one, same, other = (draw(stills, seed, style).frame(3) for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_frames_do_not_depend_on_which_were_looked_at_before(stills: Stills) -> None:
    scene = draw(stills, 3, Style(noise=(5, 5)))
    late = scene.frame(6)
    for index in range(6):
        scene.frame(index)
    assert np.array_equal(scene.frame(6), late)


def test_a_crop_shows_what_the_whole_frame_shows_there(stills: Stills) -> None:
    scene = draw(stills, 4, replace(CLEAR, covered=1.0))
    crop = Crop((300.0, 220.0), 128.0, 128)
    from_frame = crop.extract(scene.frame(2)).astype(int)
    assert np.abs(scene.look(2, crop).astype(int) - from_frame).mean() < 4


def test_a_fast_face_is_blurred_along_its_way(stills: Stills) -> None:
    sharp = draw(stills, 8, replace(CLEAR, motions=("jerk",), speed=(2, 2)))
    pose = sharp.pose.values.copy()
    pose[:] = 0
    pose[:, 0] = np.linspace(0, 1, len(pose))
    sharp = replace(sharp, pose=Track(pose), camera=Track(np.zeros((len(pose), 4))))
    crop = Crop.around(bounding_box(sharp.truth(4).points), 1.0)
    blurred = replace(sharp, exposure=0.9).look(4, crop).astype(float)
    clear = sharp.look(4, crop).astype(float)
    across, along = (
        np.abs(np.diff(blurred, axis=a)).mean() / np.abs(np.diff(clear, axis=a)).mean()
        for a in (0, 1)
    )
    assert along < 0.8 * across


def test_a_leaving_face_is_outside_in_the_middle_and_back_at_the_end(stills: Stills) -> None:
    scene = draw(stills, 2, replace(CLEAR, leaving=1.0, motions=("still",)), frames=100)
    inside = [scene.truth(frame).inside for frame in range(0, 100, 5)]
    assert inside[0] == inside[-1] == 1
    assert min(inside) == 0


def test_an_occluder_covers_what_it_is_said_to_cover(stills: Stills) -> None:
    style = replace(CLEAR, covered=1.0, occluders=("box", "ellipse"))
    bare_style = replace(style, covered=0.0)
    changed = []
    for seed in range(6):
        scene = draw(stills, seed, style, 30)
        bare = replace(scene, occluders=())
        assert draw(stills, seed, bare_style, 30).occluders == ()
        for frame in range(0, 30, 6):
            truth = scene.truth(frame)
            if truth.inside < 1:
                continue
            x, y = np.rint(truth.points).astype(int).T
            moved = scene.frame(frame)[y, x].astype(int) - bare.frame(frame)[y, x]
            changed.append((truth.covered, float((np.abs(moved).max(axis=1) > 3).mean())))
    covered, seen = np.array(changed).T
    assert covered.max() > 0.5
    assert np.abs(covered - seen).mean() < 0.08


def test_a_degradation_acts_on_the_whole_video(stills: Stills) -> None:
    scene = draw(stills, 1, CLEAR)
    soft = replace(scene, degradation=Degradation("blur", 5))
    for frame in (0, 7):
        edges = [
            np.abs(np.diff(s.frame(frame).astype(float), axis=1)).mean() for s in (scene, soft)
        ]
        assert edges[1] < 0.7 * edges[0]


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_family_of_motion_is_smooth_and_stays_within_reach(motion: str) -> None:
    for seed in range(5):
        pose = draw_pose(np.random.default_rng(seed), motion, 64, 1.0, None)
        rows = pose.at(np.arange(64.0))
        assert np.isfinite(rows).all()
        assert np.abs(np.diff(rows[:, :2], axis=0)).max() < 0.75
        assert np.abs(rows[:, 3]).max() <= 0.9


@pytest.mark.parametrize("kind", PAINTS)
def test_every_occluder_is_partly_opaque(kind: str) -> None:
    rng = np.random.default_rng(2)
    sprite = PAINTS[kind](rng, rng.integers(0, 256, (60, 60, 4), dtype=np.uint8))
    assert sprite.shape == (96, 96, 4)
    assert 0.03 < (sprite[..., 3] > 127).mean() < 0.98


def test_training_never_draws_the_families_kept_for_the_test() -> None:
    assert "bounce" not in Style().motions
    assert "fence" not in Style().occluders


def test_a_still_is_upright_and_transparent_beyond_its_photograph(tmp_path: Path) -> None:
    angle, middle = 0.4, (SIZE - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), -np.degrees(angle), 1.0)
    turned = (face_shape() @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    path = tmp_path / "turned.png"
    cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), 200, np.uint8))
    still = read_still(FaceSample(path, turned, None, "made"), 60)
    eyes = still.points[42:48].mean(axis=0) - still.points[36:42].mean(axis=0)
    assert abs(eyes[1]) < 0.01 * eyes[0]
    assert still.picture[0, 0, 3] == 0
    x, y = np.rint(still.centre).astype(int)
    assert still.picture[y, x, 3] == 255
    np.testing.assert_allclose(still.mirrored().mirrored().points, still.points, atol=1e-4)


def test_missing_faces_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one face"):
        Stills([([], 1.0)], 80)
