"""The official layouts of face sets, built small, are read face by face."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.training.datasets.folders import (
    count_points,
    person_before_number,
    read_folder,
    read_pts,
    write_pts,
)
from handlers.training.datasets.layouts import read_layout, read_menpo


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


def face(seed: int = 0, points: int = 68) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 200, (points, 2)).astype(np.float32)


def put(path: Path, landmarks: NDArray[np.float32] | None = None) -> Path:
    """An (empty) picture with landmarks beside it: the readers open no picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    write_pts(path.with_suffix(".pts"), face() if landmarks is None else landmarks)
    return path


def put_300w(root: Path) -> None:
    for name in (
        "300W/01_Indoor/indoor_001.png",
        "300W/02_Outdoor/outdoor_001.png",
        "300W/02_Outdoor/outdoor_002.png",
        "lfpw/trainset/image_0001.png",
        "lfpw/testset/image_0001.png",
        "helen/trainset/100032540_1.jpg",
        "helen/trainset/100032540_1_mirror.jpg",
        "helen/testset/296814969_3.jpg",
        "afw/1051618982_1.jpg",
        "ibug/image_003_1.jpg",
    ):
        put(root / name)


@pytest.mark.parametrize(
    ("split", "sources"),
    [
        ("train", ["lfpw/trainset", "helen/trainset", "afw"]),
        ("common", ["lfpw/testset", "helen/testset"]),
        ("challenging", ["ibug"]),
        ("full", ["lfpw/testset", "helen/testset", "ibug"]),
        ("test", ["300W/01_Indoor", "300W/02_Outdoor", "300W/02_Outdoor"]),
    ],
)
def test_each_part_of_300w_takes_its_own_folders(
    tmp_path: Path, split: str, sources: list[str]
) -> None:
    put_300w(tmp_path)
    assert [sample.source for sample in read_layout(tmp_path, f"300w-{split}")] == sources


def test_mirrored_copies_in_repacked_300w_are_left_out_and_counted(tmp_path: Path) -> None:
    put_300w(tmp_path)
    assert read_layout(tmp_path, "300w-train").skipped == {"mirrored copy": 1}


def test_a_missing_part_of_300w_is_named(tmp_path: Path) -> None:
    put(tmp_path / "afw/1_1.jpg")
    with pytest.raises(ValueError, match="should have the folder lfpw/trainset"):
        read_layout(tmp_path, "300w-train")


def test_landmarks_arrive_counted_from_zero_with_their_picture(tmp_path: Path) -> None:
    landmarks = face(3)
    image = put(tmp_path / "trainset/100032540_1.jpg", landmarks)
    (sample,) = read_layout(tmp_path, "helen-train")
    assert (sample.image_path, sample.person, sample.source) == (image, None, "helen/trainset")
    assert sample.landmarks.dtype == np.float32
    np.testing.assert_allclose(sample.landmarks, landmarks, atol=1e-4)


def test_helen_and_lfpw_have_no_other_parts_than_train_and_test(tmp_path: Path) -> None:
    put(tmp_path / "testset/image_0001.png")
    assert len(read_layout(tmp_path, "lfpw-test")) == 1
    with pytest.raises(ValueError, match="'lfpw-common' is unknown"):
        read_layout(tmp_path, "lfpw-common")


def test_two_faces_of_one_afw_photograph_are_two_samples(tmp_path: Path) -> None:
    put(tmp_path / "111076519_1.jpg")
    put(tmp_path / "111076519_2.jpg")
    assert [sample.source for sample in read_layout(tmp_path, "afw")] == ["afw", "afw"]


def test_menpo_profiles_are_skipped_and_counted(tmp_path: Path) -> None:
    put(tmp_path / "semifrontal/1.jpg")
    put(tmp_path / "semifrontal/2.jpg")
    put(tmp_path / "profile/3.jpg", face(points=39))
    faces = read_menpo(tmp_path)
    assert len(faces) == 2
    assert faces.skipped == {"39 points": 1}


def test_menpo_with_faces_of_a_third_kind_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "1.jpg", face(points=29))
    with pytest.raises(ValueError, match="29 points"):
        read_menpo(tmp_path)


def test_a_folder_names_its_sources_and_counts_pictures_without_landmarks(tmp_path: Path) -> None:
    put(tmp_path / "faces/a/1.PNG")
    put(tmp_path / "faces/b/c/2.jpeg")
    (tmp_path / "faces/a/lonely.jpg").touch()
    faces = read_folder(tmp_path / "faces")
    assert [sample.source for sample in faces] == ["faces/a", "faces/b/c"]
    assert faces.skipped == {"no .pts beside it": 1}


def test_a_broken_annotation_stops_the_reading(tmp_path: Path) -> None:
    put(tmp_path / "1.jpg").with_suffix(".pts").write_text("n_points: 68\n{\n1 1\n}\n")
    with pytest.raises(ValueError, match="declares 68 points but holds 1"):
        read_folder(tmp_path)


def test_the_person_stands_before_the_number() -> None:
    assert person_before_number(Path("Abdel_Aziz_Al-Hakim_00.jpg")) == "Abdel_Aziz_Al-Hakim"
    assert person_before_number(Path("alone.jpg")) is None


def test_the_layout_is_guessed_from_what_lies_there(tmp_path: Path) -> None:
    put_300w(tmp_path / "official")
    put(tmp_path / "youtube_faces/test/Adrian_Nastase_10.jpg")
    put(tmp_path / "mine/x_1.jpg")
    assert len(read_layout(tmp_path / "official")) == 3
    assert [s.person for s in read_layout(tmp_path / "youtube_faces/test")] == ["Adrian_Nastase"]
    assert [s.person for s in read_layout(tmp_path / "mine")] == [None]


def test_an_unknown_layout_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'wflw' is unknown"):
        read_layout(tmp_path, "wflw")
    with pytest.raises(ValueError, match="no face in layout folder"):
        read_layout(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        read_layout(tmp_path / "nowhere")
