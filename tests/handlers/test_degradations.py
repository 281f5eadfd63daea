import numpy as np
import pytest

from handlers.processing.degradations import LEVELS, degrade

CASES = [(name, level) for name, levels in LEVELS.items() for level in levels]


def picture(size: int = 96) -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("name", "level"), CASES)
def test_a_degraded_picture_keeps_shape_and_type_and_leaves_its_source_alone(
    name: str, level: float
) -> None:
    source = picture()
    before = source.copy()
    degraded = degrade(source, name, level, np.random.default_rng(0))
    assert degraded.shape == source.shape
    assert degraded.dtype == np.uint8
    assert (degraded != source).any()
    np.testing.assert_array_equal(source, before)


@pytest.mark.parametrize(("name", "level"), CASES)
def test_a_seed_fixes_the_result(name: str, level: float) -> None:
    first, second = (degrade(picture(), name, level, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["downsampling", "blur", "motion"])
def test_more_of_it_leaves_less_detail(name: str) -> None:
    detail = [
        degrade(picture(), name, level, np.random.default_rng(1)).astype(float).std()
        for level in LEVELS[name]
    ]
    assert detail == sorted(detail, reverse=True)


@pytest.mark.parametrize("name", ["downsampling", "blur", "motion"])
def test_a_flat_picture_stays_flat_to_its_border(name: str) -> None:
    flat = np.full((64, 64, 3), 90, np.uint8)
    degraded = degrade(flat, name, LEVELS[name][-1], np.random.default_rng(0)).astype(int)
    assert np.abs(degraded - 90).max() <= 1


def test_noise_has_the_variance_it_names() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = degrade(grey, "noise", 0.005, np.random.default_rng(0)) / 255.0
    assert noisy.var() == pytest.approx(0.005, rel=0.05)


def test_color_scaling_multiplies_the_intensity() -> None:
    grey = np.full((8, 8, 3), 200, np.uint8)
    assert (degrade(grey, "color", 0.2, np.random.default_rng(0)) == 40).all()


def test_a_face_of_twice_the_size_is_blurred_over_twice_the_pixels() -> None:
    line = np.zeros((129, 129, 3), np.uint8)
    line[:, 64] = 255
    widths = []
    for face_px in (128, 256):
        row = degrade(line, "blur", 3, np.random.default_rng(0), face_px)[64, :, 0].astype(float)
        at = np.arange(129) - 64
        widths.append(np.sqrt((row * at**2).sum() / row.sum()))
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.2)


def test_an_unknown_degradation_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'fog'"):
        degrade(picture(), "fog", 1, np.random.default_rng(0))
