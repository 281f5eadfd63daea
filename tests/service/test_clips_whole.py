"""Every frame of a clip counts once, and `complete` says whether any is missing, where it can."""

from pathlib import Path

import av
import numpy as np
import pytest

from service.media.clips.contents import Sampling
from service.media.clips.reading import BROKEN_OFF, CUTS, NO_END
from service.media.clips.reading import CUT_OFF as CUT
from tests.service.clip_files import numbers, tone, write_clip, write_sound
from tests.service.clip_reading import Found, burst_s, notes, read

EVERY_FRAME = Sampling(rate_hz=float("inf"))


def times_ms(found: Found) -> list[int]:
    return [round(frame.time_s * 1000) for frame in found.frames]


@pytest.mark.parametrize("kind", ["mpg", "mkv", "webm", "avi"])
async def test_joined_files_go_on_where_the_first_one_ended(kind: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", frames=50, sound_s=2.0)
    path.write_bytes(path.read_bytes() * 2)
    found = await read(path)
    # FFmpeg writes no end of an MPEG program.
    known = kind != "mpg"
    assert found.totals.complete is (True if known else None)
    assert found.totals.expected_frames == (100 if known else None)
    assert found.totals.decoded_frames == 100
    assert [frame.number for frame in found.frames] == list(range(100))
    assert numbers(found.frames) == [*range(40), *range(10)] * 2
    assert np.diff(times_ms(found)).min() >= 30
    assert found.totals.duration_s == pytest.approx(4.0, abs=0.15)
    half = len(found.sound) // 2
    second = Found(found.info, found.frames[50:], found.sound[half:], half, found.totals)
    after_s = burst_s(second) - second.frames[0].time_s
    assert after_s == pytest.approx(burst_s(found) - found.frames[0].time_s, abs=0.07)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
async def test_joined_broadcasts_are_whole(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    write_pictures(path, codec, frames=40)
    path.write_bytes(path.read_bytes() * 3)
    found = await read(path)
    assert found.totals.complete is None
    assert [frame.number for frame in found.frames] == list(range(120))
    assert found.totals.duration_s == pytest.approx(4.8, abs=0.3)
    assert "joined files: 2" in found.totals.notes[0]


async def test_sound_whose_rate_changes_is_heard_whole(tmp_path: Path) -> None:
    data = b""
    for rate_hz in (44_100, 22_050):
        path = tmp_path / "part.aac"
        with av.open(str(path), "w", format="adts") as container:
            track = container.add_stream("aac", rate=rate_hz, layout="mono")
            write_sound(container, track, tone(1.5, rate_hz), rate_hz)
        data += path.read_bytes()
    path.write_bytes(data)
    found = await read(path)
    assert found.totals.decoded_sound_s == pytest.approx(3.0, abs=0.15)
    assert found.totals.duration_s == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize("kind", ["mp4", "wav"])
async def test_a_joined_file_that_is_not_read_is_told(kind: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", frames=25)
    path.write_bytes(path.read_bytes() * 2)
    found = await read(path)
    assert not found.totals.complete
    assert notes(found) == ["another file is joined to it, which is not read"]


@pytest.mark.parametrize("kind", ["ogg", "mp3"])
async def test_joined_sounds_are_heard_to_the_end(kind: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", sound_s=2.0)
    path.write_bytes(path.read_bytes() * 2)
    found = await read(path)
    assert found.totals.decoded_sound_s == pytest.approx(4.0, abs=0.15)
    assert found.totals.complete


async def test_frames_that_share_a_time_are_all_there(tmp_path: Path) -> None:
    times = [0, 40, 80, 80, 80, 200, 240, 240, 320, 360]
    path = write_clip(tmp_path / "clip.webm", frames=10, times=times, sound_s=None)
    for sampling in (EVERY_FRAME, Sampling(rate_hz=25)):
        found = await read(path, sampling)
        assert numbers(found.frames) == [frame.number for frame in found.frames] == [*range(10)]
        assert times_ms(found) == [40 * number for number in range(10)]
        assert found.totals.complete
        assert found.totals.notes[0].startswith(
            "frames whose times do not come after the one before: 3"
        )


async def test_a_variable_rate_and_a_hole_are_whole(tmp_path: Path) -> None:
    times = [0, 40, 80, 300, 340, 345, 350, 380, 700, 3500]
    path = write_clip(tmp_path / "clip.mkv", frames=10, times=times, sound_s=3.5)
    found = await read(path, EVERY_FRAME)
    assert times_ms(found) == times
    assert found.totals.complete
    assert notes(found) == ["there is no picture for 2.80 s after 0.70 s"]


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi"])
async def test_pictures_that_end_before_the_sound_are_whole(kind: str, tmp_path: Path) -> None:
    found = await read(write_clip(tmp_path / f"clip.{kind}", frames=25, sound_s=3.0))
    assert found.totals.complete
    assert found.totals.decoded_frames == 25
    shown = [frame for frame in found.frames if frame.picture is not None]
    alone = [frame for frame in found.frames if frame.picture is None]
    assert len(shown) == 25
    assert alone[0].time_s == pytest.approx(1.0, abs=0.02)
    assert alone[-1].time_s == pytest.approx(3.0, abs=0.1)
    assert np.diff([frame.time_s for frame in found.frames]).max() < 0.05
    assert {frame.number for frame in alone} == {None}


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
async def test_pictures_that_begin_late_are_whole_and_sound_before_them_is_answered(
    kind: str, tmp_path: Path
) -> None:
    times = [1500 + 40 * number for number in range(25)]
    path = write_clip(tmp_path / f"clip.{kind}", frames=25, times=times, sound_s=2.5)
    found = await read(path)
    assert found.totals.complete
    assert found.frames[0].time_s == 0
    assert found.frames[0].picture is None
    shown = [frame for frame in found.frames if frame.picture is not None]
    assert [frame.number for frame in shown] == list(range(25))
    assert shown[0].time_s == pytest.approx(1.5, abs=0.05)
    assert burst_s(found) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi", "mpg", "wav", "ogg", "mp3", "flac"])
async def test_a_file_that_is_cut_off_is_not_whole(kind: str, tmp_path: Path) -> None:
    options = {"movflags": "faststart"} if kind == "mp4" else {}
    path = write_clip(tmp_path / f"clip.{kind}", frames=100, sound_s=4.0, options=options)
    data = path.read_bytes()
    for part in (0.6, 0.9):
        path.write_bytes(data[: int(len(data) * part) + 700])
        found = await read(path)
        assert not found.totals.complete
        assert found.totals.notes
        if kind not in {"mp3", "flac"}:
            assert CUTS.intersection(found.totals.notes)
        if kind in {"mkv", "webm", "mpg"}:
            assert found.totals.expected_frames is None
        if kind in {"mp4", "avi"}:
            assert found.totals.expected_frames == 100
        if kind in {"mp4", "mkv", "webm"}:
            assert any(note.startswith("it declares 4.0 s, of wh") for note in found.totals.notes)


@pytest.mark.parametrize("kind", ["ts", "fragmented.mp4", "mpg", "live.webm", "h264.ts"])
async def test_of_what_does_not_declare_its_end_nobody_knows_whether_it_is_whole(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{kind}"
    pieces = write_undeclared(path)
    data = path.read_bytes()
    for end in (len(data), pieces[len(pieces) // 2]):
        path.write_bytes(data[:end])
        found = await read(path)
        assert NO_END in found.totals.notes
        assert not found.totals.complete
        assert found.totals.complete is None or (end < len(data) and found.totals.damages)
        assert found.totals.decoded_frames >= 10
        if "mp4" not in kind:
            assert found.totals.expected_frames is None


@pytest.mark.parametrize("kind", ["ts", "fragmented.mp4", "live.webm"])
async def test_a_cut_inside_a_piece_leaves_no_count_of_what_is_missing(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{kind}"
    pieces = write_undeclared(path)
    end = pieces[len(pieces) // 2] + 50
    path.write_bytes(path.read_bytes()[:end])
    found = await read(path)
    assert not found.totals.complete
    assert found.totals.expected_frames is None


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm", "avi", "wav", "flac", "ogg", "mp3"])
async def test_what_declares_its_end_does_not_doubt_it(kind: str, tmp_path: Path) -> None:
    found = await read(write_clip(tmp_path / f"clip.{kind}"))
    assert found.totals.complete
    assert NO_END not in found.totals.notes


async def test_a_broadcast_that_is_cut_off_is_not_said_to_declare_its_end(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    write_undeclared(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 376 * 188 + 90])
    found = await read(path)
    assert BROKEN_OFF in found.totals.notes
    assert CUT not in found.totals.notes
    assert not found.totals.complete


@pytest.mark.parametrize("kind", ["mpg", "mp4"])
async def test_the_length_of_sound_is_what_the_file_declares_and_no_guess(
    kind: str, tmp_path: Path
) -> None:
    info = (await read(write_clip(tmp_path / f"clip.{kind}", frames=50, sound_s=2.0))).info
    declared_s = None if info.sound is None else info.sound.expected_s
    assert declared_s == (pytest.approx(2.0, abs=0.1) if kind == "mp4" else None)


async def test_old_quicktime_that_is_cut_off_is_seen(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mov", frames=50, options={"movflags": "faststart"})
    data = path.read_bytes()
    data = data[:4] + b"free" + data[8:]  # without ftyp, as it was once
    path.write_bytes(data)
    assert (await read(path)).totals.complete
    path.write_bytes(data[: len(data) * 3 // 4])
    assert CUT in (await read(path)).totals.notes


@pytest.mark.parametrize(("rate", "frames"), [(1, 5), (25, 5), (240, 120)])
async def test_a_clip_lasts_until_its_last_picture_has_been_shown(
    rate: int, frames: int, tmp_path: Path
) -> None:
    for kind in ("mp4", "mkv", "avi"):
        found = await read(write_clip(tmp_path / f"a.{kind}", frames, rate, sound_s=None))
        assert found.totals.duration_s == pytest.approx(frames / rate, abs=0.001)


def write_undeclared(path: Path) -> list[int]:
    """Write a clip that does not say where it ends; return where its pieces begin."""
    kind = path.name.removeprefix("clip.")
    if kind.endswith("ts"):
        write_pictures(path, "libx264" if kind.startswith("h264") else "mpeg2video", frames=60)
        return list(range(0, path.stat().st_size, 188))
    options = {
        "fragmented.mp4": {"movflags": "frag_keyframe+empty_moov+skip_trailer"},
        "live.webm": {"live": "1"},
    }
    write_clip(path, frames=60, sound_s=None, options=options.get(kind))
    data = path.read_bytes()
    mark = {"fragmented.mp4": b"moof", "mpg": b"\0\0\1\xba", "live.webm": b"\x1fC\xb6u"}[kind]
    before = 4 if mark == b"moof" else 0
    return [at - before for at in range(len(data)) if data.startswith(mark, at)]


async def test_what_is_damaged_is_said_to_be(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", frames=100, sound_s=None)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    found = await read(path)
    assert not found.totals.complete
    assert any("damaged" in note for note in found.totals.notes)
    assert any("there is no picture for" in note for note in found.totals.notes)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
async def test_frames_that_an_encoder_reorders_keep_their_times(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"  # which knows no times of display
    write_pictures(path, codec, frames=30)
    found = await read(path)
    assert numbers(found.frames) == pytest.approx(list(range(30)), abs=1)
    assert found.frames[0].time_s == 0
    assert np.median(np.diff(times_ms(found))) == 40
    assert found.totals.complete


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
async def test_pictures_that_a_file_has_behind_its_sound_are_whole(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{kind}"
    write_pictures(path, "libx264", frames=30, sound_s=1.2)
    found = await read(path)
    assert numbers(found.frames) == list(range(30))
    assert found.totals.complete


def write_pictures(path: Path, codec: str, frames: int, sound_s: float = 0.0) -> None:
    """Write pictures of which some are coded after those that follow them, behind their sound."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=44_100, layout="mono") if sound_s else None
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.max_b_frames = 2
        for number in range(frames):
            picture = np.full((48, 64, 3), 40 + 4 * number % 160, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            write_sound(container, track, tone(sound_s, 44_100), 44_100)
