"""The timeline's parts: few points, breaks, round times, faces that are spread evenly."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.affect.replies import AffectMoment
from service.affect.timeline import (
    COLUMNS,
    FACE_SIDE,
    MOST,
    MOST_POINTS,
    FaceStrip,
    StripFace,
    Timeline,
    columns,
    draw_timeline,
    thin,
    ticks,
)
from service.clips.replies import FrameAnswer
from service.media.clips.contents import Picture

SVG = "{http://www.w3.org/2000/svg}"
TOO_MANY_BYTES = 200_000


def filled(count: int, states: int = 8, rate_hz: float = 25.0) -> Timeline:
    timeline = Timeline()
    for number in range(count):
        present = min(number, states)
        attention = [((present - n) / rate_hz, 1 / present) for n in range(present)]
        valence = math.sin(number / 20)
        timeline.add(number / rate_hz, valence, -valence, 0.5 + valence / 2, attention)
    return timeline


def drawn(timeline: Timeline, faces: tuple[StripFace, ...] = ()) -> ElementTree.Element:
    text = draw_timeline(timeline, faces, "of <one> & another")
    assert len(text) < TOO_MANY_BYTES
    return ElementTree.fromstring(text)


def paths(drawing: ElementTree.Element, kind: str) -> list[str]:
    found = [path for path in drawing.iter(SVG + "path") if path.get("class") == kind]
    return [str(path.get("d")) for path in found]


@pytest.mark.parametrize("count", [0, 1, 2, 250, 15_000])
def test_a_timeline_of_any_length_is_one_small_valid_picture(count):
    drawing = drawn(filled(count))
    assert drawing.tag == SVG + "svg"
    assert "nan" not in ElementTree.tostring(drawing, "unicode")
    assert [title.text for title in drawing.findall(SVG + "title")] == ["of <one> & another"]


def test_a_line_is_broken_where_there_is_no_estimate():
    timeline = Timeline()
    for number in range(30):
        value = None if 10 <= number < 20 else 0.5
        timeline.add(number / 25, value, value, None, [])
    line = paths(drawn(timeline), "line valence")[0]
    assert line.count("M") == 2
    assert line.count("L") == 9 + 9


def test_without_gate_and_attention_their_panels_are_left_out():
    timeline = Timeline()
    timeline.add(0.0, 0.1, 0.2, None, [])
    timeline.add(0.04, 0.1, 0.2, None, [])
    drawing = drawn(timeline)
    assert paths(drawing, "line gate") == []
    assert paths(drawing, "cells") == []
    assert "gate" not in "".join(text.text or "" for text in drawing.iter(SVG + "text"))


def test_values_beyond_the_panel_stay_inside_of_it():
    timeline = Timeline()
    timeline.add(0.0, 9.0, -9.0, 0.5, [])
    timeline.add(1.0, 9.0, -9.0, 0.5, [])
    lines = [paths(drawn(timeline), f"line {name}")[0] for name in ("valence", "arousal")]
    heights = [float(line.split(" ")[1].split("h")[0]) for line in lines]
    assert heights[1] - heights[0] == 170


def test_faces_that_would_overlap_are_left_out():
    faces = tuple(StripFace(time_s, "data:image/jpeg;base64,AA==") for time_s in (0, 0.01, 5, 9.9))
    images = list(drawn(filled(250), faces).iter(SVG + "image"))
    assert len(images) == 3


@given(st.lists(st.one_of(st.floats(-1, 1), st.just(math.nan)), max_size=3000))
def test_thinning_keeps_the_mean_and_the_order(values):
    times_s = [number / 25 for number in range(len(values))]
    points = list(thin(times_s, values))
    assert len(points) <= MOST_POINTS
    assert [time_s for time_s, _ in points] == sorted(time_s for time_s, _ in points)
    if len(values) <= MOST_POINTS:
        assert [value for _, value in points] == [None if math.isnan(v) else v for v in values]
    assert all(value is None or -1 <= value <= 1 for _, value in points)


def test_columns_tell_weights_in_even_shares():
    found = list(columns(filled(5000), 8, 200.0))
    assert len(found) <= COLUMNS
    assert found[-1][2] == pytest.approx([1.0] * 8, abs=1e-4)
    assert found[0][0] == 0.0
    assert found[-1][1] == 200.0


@pytest.mark.parametrize(
    ("begin_s", "end_s", "expected"),
    [
        (0.0, 1.0, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (0.0, 10.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (3.2, 6.1, [3.5, 4.0, 4.5, 5.0, 5.5, 6.0]),
        (0.0, 600.0, [0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600]),
    ],
)
def test_times_are_round_and_few(begin_s, end_s, expected):
    found = ticks(begin_s, end_s)
    assert len(found) <= 13
    if len(expected) == len(found):
        assert found == expected
    steps = {round(after - before, 6) for before, after in zip(found, found[1:], strict=False)}
    assert len(steps) == 1


def look(time_s: float, box: tuple[float, ...] = (10, 10, 40, 40)) -> FrameAnswer:
    face = {"track_id": 1, "status": "tracking", "box": box, "landmarks": None}
    said = {
        **{"time_s": time_s, "valence": 0.0, "arousal": 0.0, "quadrant": None, "quadrants": None},
        **{"attention": [], "attention_ages_s": [], "gate": None, "used": ["face"], "face": face},
    }
    return FrameAnswer(
        AffectMoment.model_validate({"frame": None, **said}),
        Picture(64, 48, bytes(64 * 48 * 3), 0.5),
    )


def test_few_faces_are_kept_of_any_clip_evenly():
    strip = FaceStrip()
    for number in range(3000):
        strip.add(look(number / 25))
    times_s = [face.time_s for face in strip.faces]
    gaps = [after - before for before, after in zip(times_s, times_s[1:], strict=False)]
    assert 5 <= len(times_s) <= MOST
    assert max(gaps) == pytest.approx(min(gaps), rel=0.05)
    assert FACE_SIDE == 56


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0), (-1e9, -1e9, 1e9, 1e9), (1e6, 1e6, 2e6, 2e6), (-50, 10, 400, 200)]
)
def test_a_box_that_is_none_or_far_away_costs_nothing(box):
    strip = FaceStrip()
    strip.add(look(0.0, box))
    assert len(strip.faces) <= 1
