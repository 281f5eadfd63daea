"""`.pts` files are read from 1-based to 0-based pixels, strictly."""

from pathlib import Path

import numpy as np
import pytest

from handlers.training.datasets.pts import count_points, read_pts, write_pts


def pts_text(points: list[str], n_points: int | None = None) -> str:
    declared = len(points) if n_points is None else n_points
    return f"version: 1\nn_points:  {declared}\n{{\n" + "\n".join(points) + "\n}\n"


def test_the_top_left_pixel_of_a_file_is_zero_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.pts"
    path.write_text(pts_text(["1.0 1.0", "27.138 113.884"]))
    points = read_pts(path, n_points=2)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, np.array([[0, 0], [26.138, 112.884]]), atol=1e-5)


def test_written_landmarks_read_back_the_same(tmp_path: Path) -> None:
    landmarks = np.random.default_rng(0).normal(100, 80, (68, 2)).astype(np.float32)
    write_pts(tmp_path / "a.pts", landmarks)
    np.testing.assert_allclose(read_pts(tmp_path / "a.pts"), landmarks, atol=1e-4)


def test_blank_lines_tabs_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pts"
    path.write_bytes(b"version: 1\r\nn_points: 2\r\n{\r\n1\t2\r\n\r\n 3  4 \r\n}\r\n")
    np.testing.assert_array_equal(read_pts(path, 2), [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (pts_text(["1 1"] * 39), "declares 39 points, expected 68"),
        (pts_text(["1 1"] * 67, n_points=68), "declares 68 points but holds 67"),
        (pts_text(["1 1"] * 67 + ["1 2 3"]), "expected 'x y', found '1 2 3'"),
        (pts_text(["1 1"] * 67 + ["1 nan"]), "not finite"),
        ("version: 1\n{\n1 1\n}\n", "n_points"),
        ("hello", "no .pts file"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_fault(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "broken.pts"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"broken.pts.*{message}"):
        read_pts(path)


def test_the_declared_count_tells_profile_from_frontal(tmp_path: Path) -> None:
    path = tmp_path / "a.pts"
    path.write_text(pts_text(["1 1"] * 39))
    assert count_points(path) == 39


def test_landmarks_of_another_shape_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        write_pts(tmp_path / "a.pts", np.zeros((68, 3)))
    with pytest.raises(ValueError, match="finite"):
        write_pts(tmp_path / "a.pts", np.full((68, 2), np.nan))
