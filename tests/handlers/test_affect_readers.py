"""The readers of affect, each on a few tiny files laid out as its set is."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from handlers.networks.variants import EXPRESSIONS
from handlers.training.datasets.affect.pictures import (
    read_affectnet,
    read_citizen_faces,
    read_ferplus,
    shares_of,
    split_people,
)
from handlers.training.datasets.affect.recordings import (
    read_afew_va,
    read_aff_wild2,
    read_recola,
    read_semaine,
    read_sewa,
    subject_folds,
)
from handlers.training.datasets.affect.records import soft_quadrants
from handlers.training.datasets.affect.speech import RAVDESS
from tests.handlers.videos import write_video

COLUMNS = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def encoded(size: int, shade: int) -> bytes:
    done, content = cv2.imencode(".png", np.full((size, size), shade, np.uint8))
    assert done
    return content.tobytes()


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_quadrants_are_sure_far_from_the_axes_and_undecided_at_neutral() -> None:
    quadrants = soft_quadrants(np.array([[-0.6, 0.6], [0.0, 0.0]], np.float32))
    assert quadrants[0].argmax() == 1
    assert quadrants[0, 1] > 0.99
    np.testing.assert_allclose(quadrants[1], 0.25)


def test_ferplus_weighs_votes_and_leaves_out_what_is_mostly_no_emotion(tmp_path: Path) -> None:
    write(
        tmp_path / "fer2013new.csv",
        f"Usage,Image name,{COLUMNS}\n"
        "PublicTest,a.png,5,5,0,0,0,0,0,0,0,0\n"
        "PublicTest,b.png,1,0,0,0,0,0,0,3,4,2\n"
        "PublicTest,,0,0,0,0,0,0,0,0,0,10\n"
        "Training,c.png,10,0,0,0,0,0,0,0,0,0\n",
    )
    with zipfile.ZipFile(tmp_path / "FER2013Valid.zip", "w") as archive:
        for name in "ab":
            archive.writestr(f"{name}.png", encoded(48, 90))
    faces = read_ferplus(tmp_path, "PublicTest")
    assert faces.images.shape == (1, 48, 48)
    np.testing.assert_allclose(faces.labels, [[0.445, 0.085]])
    assert faces.emotions == ("neutral",)


def test_a_lone_vote_of_ferplus_counts_half() -> None:
    votes = dict.fromkeys(EXPRESSIONS, 0.0) | {"neutral": 2.0, "fear": 1.0}
    assert shares_of(votes)[EXPRESSIONS.index("fear")] == pytest.approx(0.2)


def test_citizen_faces_never_show_a_person_on_both_sides_of_the_split(tmp_path: Path) -> None:
    names = [f"P{person}_{number:04d}.jpg" for person in range(30) for number in (1, 2)]
    rows = "".join(f"{name},happiness\n" for name in names)
    write(tmp_path / "citizen_faces.csv", f"image,emotion\n{rows}X_0001.jpg,puzzled\n")
    with zipfile.ZipFile(tmp_path / "citizen_faces.zip", "w") as archive:
        for name in names:
            archive.writestr(name, encoded(176, 60))
    kept, held_out = split_people(read_citizen_faces(tmp_path))
    assert len(kept) + len(held_out) == 60
    assert not set(kept.people) & set(held_out.people)
    assert 0 < len(held_out) < len(kept)


def test_ravdess_reads_emotion_intensity_and_actor_from_the_name(tmp_path: Path) -> None:
    for name in ("03-01-05-02-01-01-12.ogg", "03-01-05-01-01-01-12.ogg", "notes.ogg"):
        write(tmp_path / "Actor_12" / name)
    normal, strong = RAVDESS.read(tmp_path)
    assert (strong.actor, strong.emotion, strong.valence) == ("12", "anger", -0.51)
    assert normal.arousal == pytest.approx(0.6 * strong.arousal)


def test_sewa_gives_labels_at_the_times_of_its_table(tmp_path: Path) -> None:
    write(
        tmp_path / "labels" / "Train_DE_01.csv",
        "name;time;arousal;valence;liking\n"
        "'Train_DE_01';0.0;0.2;-0.1;0\n'Train_DE_01';0.1;0.4;-0.3;0\n",
    )
    write(tmp_path / "video" / "Train_DE_01.avi")
    (recording,) = read_sewa(tmp_path)
    np.testing.assert_allclose(recording.times_s, [0.0, 0.1])
    np.testing.assert_allclose(recording.labels, [[-0.1, 0.2], [-0.3, 0.4]])


def test_semaine_takes_the_mean_of_raters_where_all_of_them_rate(tmp_path: Path) -> None:
    session = tmp_path / "Sessions" / "17"
    write(session / "2009.01.01 User C.avi")
    for rater, value in ((1, 0.2), (2, 0.6)):
        write(session / f"R{rater}S17TUDV.txt", f"0.0 {value}\n2.0 {value}\n")
    write(session / "R1S17TUDA.txt", "0.5 -0.5\n1.5 -0.5\n")
    write(tmp_path / "people.csv", "17,user 4\n")
    (recording,) = read_semaine(tmp_path)
    assert recording.person == "user 4"
    assert recording.times_s[0] == 0.5
    assert recording.times_s[-1] < 1.5
    np.testing.assert_allclose(recording.labels, [[0.4, -0.5]] * len(recording.times_s), atol=1e-6)


def test_afew_va_is_brought_from_tenths_to_one(tmp_path: Path) -> None:
    frame = {"landmarks": [[1.0, 2.0]] * 68, "valence": -5.0, "arousal": 10.0}
    content = {"video_id": "001", "actor": "Ada", "frames": {"00000": frame, "00001": frame}}
    write(tmp_path / "001" / "001.json", json.dumps(content))
    (recording,) = read_afew_va(tmp_path)
    assert recording.person == "Ada"
    assert recording.landmarks is not None
    assert recording.landmarks.shape == (2, 68, 2)
    np.testing.assert_allclose(recording.labels, [[-0.5, 1.0]] * 2)
    np.testing.assert_allclose(recording.times_s, [0.0, 0.04])


def test_aff_wild2_leaves_out_unlabelled_frames_and_keeps_their_time(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "7.avi", 4 * [np.zeros((32, 32, 3), np.uint8)], 10.0)
    path = tmp_path / "VA_Estimation_Challenge" / "Train_Set" / "7_left.txt"
    write(path, "valence,arousal\n0.1,0.2\n-5,-5\n0.3,0.4\n")
    (recording,) = read_aff_wild2(tmp_path)
    np.testing.assert_allclose(recording.times_s, [0.0, 0.2])
    np.testing.assert_allclose(recording.labels, [[0.1, 0.2], [0.3, 0.4]])


def test_recola_averages_its_raters(tmp_path: Path) -> None:
    write(tmp_path / "video" / "P16.mp4")
    write(tmp_path / "valence" / "P16.csv", "time;FM1;FF1\n0.00;0.1;0.3\n0.04;0.2;0.4\n")
    write(tmp_path / "arousal" / "P16.csv", "time;FM1;FF1\n0.00;-0.2;0\n0.04;-0.2;0\n")
    (recording,) = read_recola(tmp_path)
    np.testing.assert_allclose(recording.labels, [[0.2, -0.1], [0.3, -0.1]], atol=1e-6)


@pytest.mark.parametrize("table", ["training.csv", None])
def test_affectnet_leaves_out_what_has_no_label(tmp_path: Path, table: str | None) -> None:
    write(
        tmp_path / "training.csv",
        "subDirectory_filePath,face_x,face_y,face_width,face_height,valence,arousal\n"
        "1/a.jpg,10,20,100,100,0.5,-0.25\n1/b.jpg,0,0,50,50,-2,-2\n",
    )
    (tmp_path / "annotations").mkdir()
    for name, valence in (("0", 0.5), ("1", -2.0)):
        write(tmp_path / "images" / f"{name}.jpg")
        np.save(tmp_path / "annotations" / f"{name}_val.npy", np.array(str(valence)))
        np.save(tmp_path / "annotations" / f"{name}_aro.npy", np.array("-0.25"))
    (picture,) = read_affectnet(tmp_path, table)
    assert (picture.valence, picture.arousal) == (0.5, -0.25)
    assert picture.box == ((10.0, 20.0, 109.0, 119.0) if table else None)


def test_folds_hold_every_sample_once_and_nobody_twice() -> None:
    people = [f"p{number % 23}" for number in range(200)]
    folds = subject_folds(people)
    assert sorted(np.concatenate(folds).tolist()) == list(range(200))
    groups = [{people[i] for i in fold} for fold in folds]
    assert sum(map(len, groups)) == 23
    assert max(map(len, folds)) - min(map(len, folds)) <= 9


def test_folds_need_as_many_people() -> None:
    with pytest.raises(ValueError, match="2 people"):
        subject_folds(["a", "b", "a"])


def test_a_folder_without_recordings_is_refused_by_every_reader(tmp_path: Path) -> None:
    readers = (read_sewa, read_semaine, read_afew_va, read_aff_wild2, read_recola, read_affectnet)
    for reader in readers:
        with pytest.raises(ValueError, match=str(tmp_path)):
            reader(tmp_path)
