"""3DA-2D landmarks are read from Torch7, Matlab and `.pts` files, without a pickle."""

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat  # type: ignore[import-untyped]

from handlers.training.datasets.folders import write_pts
from handlers.training.datasets.layouts import guess_layout, read_ls3d, read_t7


def t7_header(name: str, index: int) -> bytes:
    return b"".join(
        [
            struct.pack("<2i", 4, index),
            *(struct.pack("<i", len(t)) + t for t in (b"V 1", name.encode())),
        ]
    )


def t7_bytes(
    array: NDArray[np.floating], strides: tuple[int, ...] | None = None, offset: int = 1
) -> bytes:
    """A tensor as Torch7 writes it; `array` is the storage, in memory order."""
    kind = {4: "Float", 8: "Double"}[array.dtype.itemsize]
    shape = array.shape if strides is None else array.shape[::-1]
    steps = tuple(s // array.itemsize for s in array.strides) if strides is None else strides
    return b"".join(
        [
            t7_header(f"torch.{kind}Tensor", 1),
            struct.pack("<i", array.ndim),
            struct.pack(f"<{2 * array.ndim + 1}q", *shape, *steps, offset),
            t7_header(f"torch.{kind}Storage", 2),
            struct.pack("<q", array.size),
            array.tobytes(),
        ]
    )


def landmarks(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(1, 400, (68, 2)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_torch7_tensor_reads_back_as_written(
    tmp_path: Path, dtype: type[np.float32] | type[np.float64]
) -> None:
    points: NDArray[np.floating] = landmarks().astype(dtype)
    (tmp_path / "1.t7").write_bytes(t7_bytes(points))
    np.testing.assert_array_equal(read_t7(tmp_path / "1.t7"), points)


def test_a_transposed_torch7_tensor_is_read_through_its_strides(tmp_path: Path) -> None:
    storage = np.arange(6, dtype=np.float32).reshape(2, 3)
    (tmp_path / "1.t7").write_bytes(t7_bytes(storage, strides=(1, 3)))
    np.testing.assert_array_equal(read_t7(tmp_path / "1.t7"), storage.T)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (t7_bytes(landmarks())[:-8], "ends inside"),
        (t7_bytes(landmarks())[:30], "found 'torch.Float'"),
        (b"", "ends inside"),
        (struct.pack("<2id", 1, 0, 3.0), "expected a float or double Tensor"),
        (t7_bytes(landmarks(), strides=(2, 1), offset=200), "outside its storage"),
        (t7_bytes(landmarks(), strides=(-2, 1)), "outside its storage"),
    ],
    ids=["cut in the numbers", "cut in the name", "empty", "a number", "offset", "stride"],
)
def test_a_broken_torch7_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "1.t7"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_t7(path)


def test_ls3d_w_keeps_a_tensor_beside_each_picture(tmp_path: Path) -> None:
    folder = tmp_path / "300W-Testset-3D"
    folder.mkdir()
    (folder / "indoor_001.png").touch()
    (folder / "indoor_001.t7").write_bytes(t7_bytes(landmarks()))
    (folder / "indoor_002.png").touch()
    assert guess_layout(tmp_path) == "ls3d-w"
    faces = read_ls3d(tmp_path)
    (sample,) = faces
    np.testing.assert_allclose(sample.landmarks, landmarks() - 1, atol=1e-4)
    assert faces.skipped == {"no 3DA-2D landmarks": 1}


def test_300w_lp_keeps_both_annotations_apart_from_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "AFW").mkdir()
    (tmp_path / "AFW" / "AFW_134212_1_0.jpg").touch()
    (tmp_path / "landmarks" / "AFW").mkdir(parents=True)
    savemat(
        tmp_path / "landmarks" / "AFW" / "AFW_134212_1_0_pts.mat",
        {"pts_2d": landmarks(1), "pts_3d": landmarks(2)},
    )
    (sample,) = read_ls3d(tmp_path)
    np.testing.assert_allclose(sample.landmarks, landmarks(2) - 1, atol=1e-4)


def test_aflw2000_keeps_three_coordinates_and_pts_folders_two(tmp_path: Path) -> None:
    (tmp_path / "image00002.jpg").touch()
    points = np.vstack([landmarks(4).T, np.zeros(68)])
    savemat(tmp_path / "image00002.mat", {"pt3d_68": points})
    (tmp_path / "image00004.jpg").touch()
    write_pts(tmp_path / "image00004.pts", landmarks(5))
    first, second = read_ls3d(tmp_path)
    np.testing.assert_allclose(first.landmarks, landmarks(4) - 1, atol=1e-4)
    np.testing.assert_allclose(second.landmarks, landmarks(5), atol=1e-4)


def test_an_annotation_of_another_number_of_points_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    (tmp_path / "1.t7").write_bytes(t7_bytes(landmarks()[:66]))
    with pytest.raises(ValueError, match="expected 68"):
        read_ls3d(tmp_path)
    (tmp_path / "1.t7").unlink()
    savemat(tmp_path / "1.mat", {"pt2d": landmarks()})
    with pytest.raises(ValueError, match="none of pts_3d"):
        read_ls3d(tmp_path)
