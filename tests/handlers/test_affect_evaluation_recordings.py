"""Recordings become clips: frames at their times, labels between times, faces where they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from handlers.evaluation.affect.clips import LabelledClip, clip_of, picture_clip
from handlers.evaluation.affect.evaluate import one_context
from handlers.evaluation.affect.made import HEALTHY, ClipMaker
from handlers.evaluation.affect.sets import Following, find_layout, read_material
from handlers.predictors.tracking.options import TrackingOptions
from handlers.predictors.tracking.results import FrameResult, Status, TrackedFace
from handlers.predictors.tracking.state import SessionState
from handlers.processing.mel import RATE_HZ
from handlers.training.affect.made.clips import ClipEvents
from handlers.training.datasets.affect.records import AffectPicture, Recording
from handlers.training.datasets.affect.speech import sound_in
from handlers.training.datasets.affect.watching import VideoFaces, labels_at
from handlers.training.datasets.video import Video
from tests.handlers.affect_folders import write_faces, write_speech
from tests.handlers.videos import write_video

Floats = NDArray[np.float32]
SIDE, RATE = 64, 50.0


def test_folders_are_known_by_what_lies_in_them(tmp_path: Path) -> None:
    write_faces(tmp_path / "expressions", "FER2013Test", 8)
    write_speech(tmp_path / "speech" / "ravdess")
    assert find_layout(tmp_path) == "made"
    faces = read_material(tmp_path / "expressions")
    assert (faces.name, len(faces.clips), faces.whole) == ("FER2013Test", 8, False)
    assert faces.clips[1].labels.tolist() == [pytest.approx([0.89, 0.17])]
    spoken = read_material(tmp_path / "speech")
    assert {one.people["actor"] for one in spoken.clips} == {"21"}
    assert spoken.whole
    assert len(read_material(tmp_path / "expressions", limit=3).clips) <= 3
    with pytest.raises(ValueError, match="none of the layouts"):
        find_layout(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="one of ferplus"):
        read_material(tmp_path, "nonsense")


def test_words_are_evened_as_far_as_rare_ones_go(tmp_path: Path) -> None:
    write_faces(tmp_path, "FER2013Test", 12)  # eight words, of the first four two faces
    faces = read_material(tmp_path, limit=8, even=True)
    assert faces.name == "FER2013Test, words evened"
    assert len({tuple(one.labels[0].tolist()) for one in faces.clips}) == len(faces.clips) == 8


def test_made_clips_show_the_sets_that_were_left_out_alone(tmp_path: Path) -> None:
    write_faces(tmp_path / "expressions", "FER2013Test", 14)
    write_speech(tmp_path / "speech" / "ravdess")
    assert read_material(tmp_path, "made-ferplus", 1).name == "made clips (made-ferplus)"
    with pytest.raises(OSError, match="citizen_faces"):
        read_material(tmp_path, "made-citizen", 1)


def test_made_clips_are_the_same_again_and_go_bad_where_they_should(tmp_path: Path) -> None:
    write_faces(tmp_path / "expressions", "FER2013Test", 14)
    write_speech(tmp_path / "speech" / "ravdess")
    studio = ClipMaker.open(tmp_path)
    plot = ClipEvents(segments=3, stretches=3, stretch_s=(0.4, 0.5), healthy_clips=0.0)
    one, other = studio.clips(2, plot)
    again = studio.clips(1, plot)[0]
    assert np.array_equal(one.labels, again.labels)
    assert np.array_equal(one.pcm, again.pcm)  # type: ignore[arg-type]
    assert one.name != other.name
    assert one.people["actor"] == "21"
    many = studio.clips(8, plot)
    assert any(face is None for made in many for face in made.faces)
    assert max(longest_silence(made) for made in many) > 0.3 * RATE_HZ
    (healthy,) = studio.clips(1, HEALTHY)
    assert all(face is not None for face in healthy.faces)
    assert len(set(healthy.people["person"])) == len({id(face) for face in healthy.faces}) > 1
    assert longest_silence(healthy) < 10
    assert healthy.pcm is not None
    assert len(healthy.pcm) == pytest.approx(len(healthy.times_s) / 25 * RATE_HZ, abs=40)


def longest_silence(made: LabelledClip) -> int:
    """The longest run of samples that are zero."""
    assert made.pcm is not None
    sounding = np.flatnonzero(np.concatenate([[1], made.pcm, [1]]))
    return int(np.diff(sounding).max()) - 1


def write_shades(path: Path, frames: int = 20) -> None:
    """A video whose brightness counts its frames, ten a frame."""
    shades = (np.full((SIDE, SIDE, 3), 10 * index, np.uint8) for index in range(frames))
    write_video(path, shades, RATE)


@dataclass
class Anywhere:
    """Follows a face that is always in one place, but for the fourth step."""

    options: TrackingOptions = TrackingOptions()
    name: str = "DCRT-4"
    steps: int = 0

    @property
    def predictor(self) -> "Anywhere":
        return self

    def step(self, frames: Any, states: Any, options: Any) -> list[tuple[FrameResult, Any]]:
        self.steps += 1
        box = np.array([8, 8, 40, 40], np.float32)
        status = Status.LOST if self.steps == 4 else Status.TRACKING
        face = TrackedFace(1, status, box, None, 0.9, None)
        return [(FrameResult(self.steps, (face,)), SessionState(self.steps))]


def recording(media: Path, landmarks: Floats | None = None, **given: Any) -> Recording:
    times = np.array([0.1, 0.2, 0.3])
    labels = np.array([[0.0, 0.2], [0.4, 0.2], [0.4, -0.2]], np.float32)
    return Recording(media, "Ada", times, labels, landmarks, **given)


def test_a_video_is_looked_at_25_times_a_second_by_its_own_clock(tmp_path: Path) -> None:
    write_shades(tmp_path / "a.avi")
    follower = Anywhere()
    clip = clip_of(recording(tmp_path / "a.avi"), 1.0, follower)  # type: ignore[arg-type]
    assert clip.times_s.tolist() == pytest.approx([i / 25 for i in range(8)])
    assert follower.steps == 8
    assert clip.people == {"person": "Ada"}
    assert clip.pcm is None
    shades = [None if face is None else round(float(face.mean()), -1) for face in clip.faces]
    assert shades == [0, 20, 40, None, 80, 100, 120, 140]


def test_labels_lie_between_the_annotated_ones_and_nowhere_else(tmp_path: Path) -> None:
    found = labels_at(np.array([0.0, 0.05, 0.15, 0.25, 0.35, 0.6]), recording(tmp_path))
    assert found[2].tolist() == pytest.approx([0.2, 0.2])
    assert found[3].tolist() == pytest.approx([0.4, 0.0])
    assert np.isnan(found[-1]).all()
    gap = Recording(
        tmp_path, "x", np.array([0.0, 0.1, 0.2, 2.0, 2.1]), np.zeros((5, 2), np.float32)
    )
    assert np.isnan(labels_at(np.array([1.0]), gap)).all()


def test_landmarks_of_a_set_need_no_tracker(tmp_path: Path) -> None:
    points = np.tile(np.linspace(10, 50, 68, dtype=np.float32)[:, None], (3, 1, 2))
    write_shades(tmp_path / "a.avi")
    clip = clip_of(recording(tmp_path / "a.avi", points), 1.0, None)
    assert clip.faces[4] is not None
    with pytest.raises(ValueError, match="no tracker"):
        clip_of(recording(tmp_path / "a.avi"), 1.0, None)


def test_faces_are_the_same_in_any_order_and_in_parts(tmp_path: Path) -> None:
    write_shades(tmp_path / "a.avi", 10)
    boxes = np.tile(np.array([8, 8, 40, 40], np.float32), (5, 1))
    video = Video("a", "x", tmp_path / "a.avi", {})
    faces = VideoFaces(video, np.arange(0, 10, 2), boxes, 1.0)
    means = [round(float(face.mean()), -1) for face in faces if face is not None]
    assert means == [0, 20, 40, 60, 80]
    early = faces[1]
    assert early is not None
    assert round(float(early.mean()), -1) == 20
    assert len(faces[::2]) == 3


def test_a_sound_file_of_its_own_and_silence_are_told_apart(tmp_path: Path) -> None:
    write_shades(tmp_path / "a.avi")
    soundfile.write(tmp_path / "a.wav", np.full(RATE_HZ, 0.25), RATE_HZ)
    heard = recording(tmp_path / "a.avi", sound=tmp_path / "a.wav")
    clip = clip_of(heard, 1.0, Anywhere())  # type: ignore[arg-type]
    assert clip.pcm is not None
    assert clip.pcm[1000] == pytest.approx(8192, abs=2)
    assert sound_in(tmp_path / "a.avi") is None


def test_a_labelled_picture_is_cut_out_by_its_box(tmp_path: Path) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[20:40, 30:50] = 200
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    clip = picture_clip(AffectPicture(tmp_path / "a.png", 0.5, -0.5, (30, 20, 49, 39)))
    assert clip.faces[0] is not None
    assert clip.faces[0].mean() > 180
    assert clip.labels.tolist() == [[0.5, -0.5]]


def test_a_set_of_recordings_comes_with_folds_of_its_people(tmp_path: Path) -> None:
    for index in range(6):
        write_shades(tmp_path / "video" / f"p{index}.avi", 10)
        (tmp_path / "labels").mkdir(exist_ok=True)
        rows = "\n".join(f"{i / 10};0.1;{index / 10};0" for i in range(2))
        table = f"time;arousal;valence;liking\n{rows}\n"
        (tmp_path / "labels" / f"p{index}.csv").write_text(table)
    following = Following(lambda: 1.0, Anywhere)  # type: ignore[arg-type]
    found = read_material(tmp_path, "sewa", following=following)
    assert (found.name, found.sets, len(found.clips)) == ("SEWA", ("SEWA",), 6)
    assert sorted(len(fold) for fold in found.folds) == [1, 1, 1, 1, 2]
    assert found.clips[3].labels[0].tolist() == pytest.approx([0.3, 0.1])
    assert not read_material(tmp_path, "sewa", 2, following).folds


def test_rows_share_their_crops_or_are_refused() -> None:
    assert one_context({1.4}) == 1.4
    with pytest.raises(ValueError, match="different widths"):
        one_context({1.2, 1.4})
