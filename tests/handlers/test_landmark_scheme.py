import numpy as np

from handlers.processing.landmarks import MIRROR, N_POINTS, REGIONS, bounding_box, mirror


def test_mirroring_twice_gives_the_landmarks_back() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (N_POINTS, 2)).astype(np.float32)
    np.testing.assert_allclose(mirror(mirror(points, 128), 128), points, atol=1e-4)


def test_the_mirror_map_keeps_every_point_in_its_region() -> None:
    for region in REGIONS.values():
        indices = set(range(N_POINTS)[region])
        assert {int(MIRROR[index]) for index in indices} == indices


def test_the_regions_cover_every_point_once() -> None:
    covered = [index for region in REGIONS.values() for index in range(N_POINTS)[region]]
    assert covered == list(range(N_POINTS))


def test_a_mirrored_point_at_the_left_edge_lies_at_the_right_edge() -> None:
    points = np.zeros((N_POINTS, 2), np.float32)
    assert (mirror(points, 128)[:, 0] == 127).all()


def test_the_bounding_box_is_tight() -> None:
    points = np.full((N_POINTS, 2), 5, np.float32)
    points[3], points[40] = (1, 7), (9, 2)
    np.testing.assert_array_equal(bounding_box(points), [1, 2, 9, 7])
