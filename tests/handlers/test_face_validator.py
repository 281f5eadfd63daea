"""FV: patches sit on their landmarks, the answer is a probability, rows do not mix."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from handlers.networks.box_tracker import FaceValidator
from handlers.training.track.face_validator import roc
from handlers.training.track.places import PAINTINGS


@pytest.fixture
def validator() -> FaceValidator:
    torch.manual_seed(0)
    return FaceValidator().eval()


def crops_and_points(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    crops = torch.rand(rows, 3, 128, 128, generator=generator) * 2 - 1
    return crops, torch.rand(rows, 68, 2, generator=generator) * 100 + 14


def test_a_patch_holds_the_pixels_around_its_landmark(validator: FaceValidator) -> None:
    crops, points = crops_and_points(2)
    points[1, 5] = torch.tensor([40.5, 70.5])
    patches = validator.patches(crops, points)
    assert patches.shape == (2, 68, 3, 12, 12)
    assert_close(patches[1, 5], crops[1, :, 65:77, 35:47])


def test_a_patch_between_pixels_is_their_mean(validator: FaceValidator) -> None:
    crops, points = crops_and_points(1)
    points[0, 0] = torch.tensor([41.0, 70.5])
    patch = validator.patches(crops, points)[0, 0]
    expected = (crops[0, :, 65:77, 35:47] + crops[0, :, 65:77, 36:48]) / 2
    assert_close(patch, expected, atol=1e-5, rtol=0)


def test_landmarks_beyond_the_crop_see_grey(validator: FaceValidator) -> None:
    crops, points = crops_and_points(1)
    points[0, 3] = torch.tensor([-50.0, 300.0])
    assert_close(validator.patches(crops, points)[0, 3], torch.zeros(3, 12, 12))


def test_the_answer_is_one_probability_a_face(validator: FaceValidator) -> None:
    probability = validator.probability(*crops_and_points(3))
    assert probability.shape == (3,)
    assert bool(((probability > 0) & (probability < 1)).all())


def test_rows_of_a_batch_are_independent(validator: FaceValidator) -> None:
    crops, points = crops_and_points(3)
    alone = [validator(crops[i : i + 1], points[i : i + 1]) for i in range(3)]
    assert_close(torch.cat(alone), validator(crops, points))


def test_the_same_convolutions_look_at_every_patch(validator: FaceValidator) -> None:
    shapes = [parameter.shape for parameter in validator.convolutions.parameters()]
    assert shapes == [(8, 3, 3, 3), (8,), (2, 8, 3, 3), (2,)]


def test_it_learns_to_tell_landmarks_on_a_mark_from_those_beside_it() -> None:
    torch.manual_seed(0)
    validator = FaceValidator(channels=(4, 2))
    crops, points = crops_and_points(8)
    crops *= 0.1
    for row in range(4):
        crops[row, 0] = validator_marks(points[row])
    labels = torch.tensor([1.0] * 4 + [0.0] * 4)
    optimiser = torch.optim.Adam(validator.parameters(), lr=1e-2)
    for _ in range(15):
        optimiser.zero_grad()
        logits = validator(crops, points)
        loss = binary_cross_entropy_with_logits(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert bool(((validator(crops, points) > 0) == (labels > 0)).all())


def validator_marks(points: Tensor) -> Tensor:
    """A 128 x 128 plane, bright around each point."""
    plane = torch.zeros(128, 128)
    for x, y in points.round().long().tolist():
        plane[y - 2 : y + 3, x - 2 : x + 3] = 1
    return plane


def test_pictures_without_a_face_fill_their_square_and_differ() -> None:
    for painting in PAINTINGS:
        first, second = (painting(np.random.default_rng(seed), 80) for seed in (0, 1))
        assert first.shape == (80, 80, 3)
        assert first.dtype == np.uint8
        assert np.abs(first.astype(int) - second).mean() > 5


def test_the_curve_of_a_perfect_validator_goes_through_the_corner() -> None:
    faces = torch.tensor([1.0, 1.0, 0.0, 0.0])
    false, true = roc(torch.tensor([0.9, 0.8, 0.2, 0.1]), faces)
    assert np.trapezoid(true, false) == 1
    false, true = roc(torch.tensor([0.1, 0.8, 0.2, 0.9]), faces)
    assert np.trapezoid(true, false) == pytest.approx(0.25)
