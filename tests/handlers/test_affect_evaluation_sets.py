"""Folders of faces and speech become the clips that affect is measured on."""

from pathlib import Path

import numpy as np
import pytest

from handlers.evaluation.affect.clips import LabelledClip
from handlers.evaluation.affect.made import HEALTHY, ClipMaker
from handlers.evaluation.affect.sets import find_layout, read_material
from handlers.processing.mel import RATE_HZ
from handlers.training.affect.made.clips import Plot
from tests.handlers.affect_folders import write_faces, write_speech


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


def test_made_clips_are_the_same_again_and_go_bad_where_they_should(tmp_path: Path) -> None:
    write_faces(tmp_path / "expressions", "FER2013Test", 14)
    write_speech(tmp_path / "speech" / "ravdess")
    studio = ClipMaker.open(tmp_path)
    plot = Plot(segments=3, stretches=3, stretch_s=(0.4, 0.5), healthy_clips=0.0)
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
