"""Annotated videos: frames and landmarks belong together, and missing parts are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handlers.processing.boxes import Crop
from handlers.training.datasets.folders import write_pts
from handlers.training.datasets.video import (
    CATEGORIES,
    Video,
    read_300vw,
    read_300vw_training,
    read_clip,
    read_frames,
)
from handlers.training.track.box_tracker import RecordedVideos
from tests.handlers.videos import write_video

FRAMES = 6
POINTS = np.random.default_rng(0).uniform(10, 80, (68, 2)).astype(np.float32)


def grey(index: int) -> NDArray[np.uint8]:
    """A frame whose brightness tells its number."""
    return np.full((96, 128, 3), 20 + 30 * index, np.uint8)


def make_video(folder: Path, first: int = 0) -> None:
    """A subject of 300-VW: frame i has landmarks shifted by i pixels; those before `first` none."""
    (folder / "annot").mkdir(parents=True)
    write_video(folder / "vid.avi", map(grey, range(FRAMES)))
    for index in range(first, FRAMES):
        write_pts(folder / "annot" / f"{index + 1:06d}.pts", POINTS + index)


def check(video: Video, first: int = 0) -> None:
    frames = list(video)
    assert len(frames) == FRAMES
    for index, frame in enumerate(frames):
        assert abs(float(frame.image.mean()) - (20 + 30 * index)) < 4
        if index < first:
            assert frame.landmarks is None
        else:
            assert frame.landmarks is not None
            np.testing.assert_allclose(frame.landmarks, POINTS + index, atol=1e-3)


def test_the_categories_are_those_of_the_published_test_set() -> None:
    assert [len(CATEGORIES[name]) for name in ("1", "2", "3")] == [31, 19, 14]
    subjects = [subject for part in CATEGORIES.values() for subject in part]
    assert len(set(subjects)) == 64


def test_300vw_gives_its_test_videos_by_category(tmp_path: Path) -> None:
    for subject in ("114", "203", "410", "001"):
        make_video(tmp_path / subject)
    videos = read_300vw(tmp_path)
    assert [(video.name, video.category) for video in videos] == [
        ("114", "1"), ("203", "2"), ("410", "3"),
    ]  # fmt: skip
    for video in videos:
        check(video)


def test_what_is_in_no_category_is_for_training(tmp_path: Path) -> None:
    for subject in ("114", "001", "002"):
        make_video(tmp_path / subject)
    assert [video.name for video in read_300vw_training(tmp_path)] == ["001", "002"]


def test_annotations_are_matched_by_the_number_in_their_names(tmp_path: Path) -> None:
    make_video(tmp_path / "114", first=2)
    check(read_300vw(tmp_path)[0], first=2)


def test_a_stretch_begins_where_it_is_asked_to(tmp_path: Path) -> None:
    make_video(tmp_path / "114")
    stretch = list(read_300vw(tmp_path)[0].stretch(3, 2))
    assert [round(float(frame.image.mean()) / 30) for frame in stretch] == [4, 5]
    np.testing.assert_allclose(stretch[0].landmarks, POINTS + 3, atol=1e-3)


def test_a_folder_of_pictures_is_a_video_in_the_order_of_names(tmp_path: Path) -> None:
    for index in reversed(range(FRAMES)):
        cv2.imwrite(str(tmp_path / f"f{index:03d}.png"), grey(index))
        if index >= 1:
            write_pts(tmp_path / f"f{index:03d}.pts", POINTS + index)
    check(read_frames(tmp_path), first=1)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="300-VW"):
        read_300vw(tmp_path)
    (tmp_path / "114").mkdir()
    with pytest.raises(ValueError, match=r"vid\.avi"):
        read_300vw(tmp_path)
    with pytest.raises(ValueError, match="no pictures"):
        read_frames(tmp_path / "114")
    with pytest.raises(ValueError, match="decoded"):
        list(read_clip(tmp_path / "nothing.mp4"))


def test_recordings_give_stretches_with_their_landmarks(tmp_path: Path) -> None:
    make_video(tmp_path / "001", first=1)
    recordings = RecordedVideos(tmp_path)
    for seed in range(5):
        recording = recordings.draw(np.random.default_rng(seed), 4)
        truths = [recording.truth(index) for index in range(recording.frames)]
        assert len(truths) == 4
        shift = truths[1].points - truths[0].points
        np.testing.assert_allclose(shift, 1, atol=1e-3)
        shown = recording.look(0, Crop((60.0, 45.0), 60.0, 128)).mean()
        assert abs(shown - 20 - 30 * (truths[0].points - POINTS).mean()) < 4
    with pytest.raises(ValueError, match="in a row"):
        recordings.draw(np.random.default_rng(0), 6)
