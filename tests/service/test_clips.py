"""Clips as they are read: kinds of files, times, turns, sound, and what is damaged."""

from pathlib import Path

import numpy as np
import pytest

from service.media.clips.contents import RATE_HZ, Sampling
from service.media.clips.process import open_clip
from tests.service.clip_files import CLICK_S, CODECS, numbers, pixels, write_clip
from tests.service.clip_reading import LIMITS, burst_s, notes, read

VIDEOS = ["mp4", "mov", "mkv", "webm", "avi", "mpg"]
# Containers that declare how many frames they hold.
COUNTED = {"mp4", "mov", "avi"}
SOUNDS = ["wav", "mp3", "ogg", "flac", "m4a"]


@pytest.mark.parametrize("kind", VIDEOS)
async def test_a_video_gives_all_frames_at_their_times_and_its_sound(
    kind: str, tmp_path: Path
) -> None:
    found = await read(write_clip(tmp_path / f"clip.{kind}"))
    assert found.info.format == {"mpg": "mpeg"}.get(kind, kind)
    assert (found.info.width, found.info.height, found.info.rotation_deg) == (64, 48, 0)
    assert [frame.time_s for frame in found.frames] == pytest.approx(
        [number / 25 for number in range(25)], abs=0.001 if kind != "mpg" else 0.03
    )
    assert numbers(found.frames) == list(range(25))
    assert burst_s(found) == pytest.approx(CLICK_S, abs=0.004 if kind != "mpg" else 0.03)
    assert found.totals.decoded_frames == found.totals.used_frames == 25
    assert found.info.expected_frames == (25 if kind in COUNTED else None)
    assert found.totals.expected_frames == (25 if kind != "mpg" else None)
    assert [frame.number for frame in found.frames] == list(range(25))
    assert notes(found) == []
    assert found.totals.decoded_sound_s == pytest.approx(1.0, abs=0.08)
    assert found.totals.complete is (True if kind != "mpg" else None)
    assert found.totals.damages == 0


@pytest.mark.parametrize("kind", SOUNDS)
async def test_sound_alone_gives_moments_without_pictures(kind: str, tmp_path: Path) -> None:
    found = await read(write_clip(tmp_path / f"clip.{kind}"))
    assert found.info.format == kind
    assert found.info.width is found.info.expected_frames is None
    assert found.info.sound is not None
    assert found.info.sound.sample_rate_hz == CODECS[kind][2]
    assert all(frame.picture is None for frame in found.frames)
    assert found.frames[1].time_s == pytest.approx(0.04)
    assert found.frames[-1].time_s == pytest.approx(1.0, abs=0.1)
    assert burst_s(found) == pytest.approx(CLICK_S, abs=0.004 if kind != "mp3" else 0.06)
    assert len(found.sound) / RATE_HZ == pytest.approx(1.0, abs=0.1)


async def test_sound_keeps_pitch_and_level(tmp_path: Path) -> None:
    found = await read(write_clip(tmp_path / "clip.wav", sound_s=2.0))
    after = found.sound[RATE_HZ : RATE_HZ + 16_384].astype(np.float64) / 32_768
    spectrum = np.abs(np.fft.rfft(after * np.hanning(len(after))))
    assert np.argmax(spectrum) * RATE_HZ / len(after) == pytest.approx(440, abs=2)
    assert after.std() * np.sqrt(2) == pytest.approx(0.1, rel=0.02)


async def test_every_kept_frame_of_a_variable_rate_has_its_own_time(tmp_path: Path) -> None:
    times = [0, 40, 80, 300, 340, 345, 350, 380, 700, 1500]
    path = write_clip(tmp_path / "clip.mkv", frames=10, times=times, sound_s=None)
    found = await read(path)
    shown = [round(frame.time_s * 1000) for frame in found.frames]
    assert numbers(found.frames) == [times.index(time) for time in shown]
    # The ticks at 320 and 360 ms lie next to 340 and 350 (or 345); one of these is left out.
    assert shown[:4] == [0, 40, 80, 300]
    assert shown[-3:] == [380, 700, 1500]
    assert len(shown) == len(set(shown)) < len(times)


@pytest.mark.parametrize(("source", "working", "used"), [(50, 25, 25), (30, 25, 25), (10, 25, 10)])
async def test_fast_sources_are_thinned_out_and_slow_ones_not_doubled(
    source: int, working: int, used: int, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=source, rate=source, sound_s=None)
    found = await read(path, Sampling(rate_hz=working))
    shown = [frame.number for frame in found.frames]
    assert len(shown) == pytest.approx(used, abs=1)
    assert numbers(found.frames) == [number % 40 for number in shown]
    own = [number / source for number in shown]
    assert [frame.time_s for frame in found.frames] == pytest.approx(own, abs=0.51 / source)
    assert found.totals.decoded_frames == source
    assert found.totals.used_frames == len(shown)
    spacing = np.diff([frame.time_s for frame in found.frames])
    np.testing.assert_allclose(spacing, 1 / min(source, working), atol=1e-4)


ONE = 65_536
TURNS = {
    "upright": ((ONE, 0, 0, ONE), (0, 0), 0),
    "quarter": ((0, ONE, -ONE, 0), (0, 1), 90),
    "half": ((-ONE, 0, 0, -ONE), (1, 1), 180),
    "three quarters": ((0, -ONE, ONE, 0), (1, 0), 270),
    "mirrored": ((-ONE, 0, 0, ONE), (0, 1), 0),
    "transposed": ((0, ONE, ONE, 0), (0, 0), 270),
}


@pytest.mark.parametrize("name", TURNS)
async def test_pictures_are_turned_upright(name: str, tmp_path: Path) -> None:
    (a, b, c, d), (row, column), degrees = TURNS[name]
    turn = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    found = await read(write_clip(tmp_path / "clip.mp4", 3, sound_s=None, turn=turn))
    size = (48, 64) if name in {"quarter", "three quarters", "transposed"} else (64, 48)
    assert (found.info.width, found.info.height) == size
    assert found.info.rotation_deg == degrees
    picture = pixels(found.frames[0].picture)
    assert picture.shape == (size[1], size[0], 3)
    redness = picture[..., 0].astype(int) - picture[..., 1]
    quarters = redness.reshape(2, size[1] // 2, 2, size[0] // 2).mean((1, 3))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == (row, column)
    assert np.sort(quarters.ravel())[-2] < 20


async def test_large_frames_are_shrunk_and_say_by_how_much(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 2, size=(500, 300), sound_s=None)
    found = await read(path, Sampling(max_side=100))
    picture = found.frames[0].picture
    assert picture is not None
    assert (picture.width, picture.height, picture.scale) == (100, 60, 0.2)
    assert (found.info.width, found.info.height) == (500, 300)
    np.testing.assert_allclose(pixels(picture)[2:28, 3:48].mean((0, 1)), (220, 30, 30), atol=6)
    red = pixels(picture)[..., 0].astype(int) - pixels(picture)[..., 1] > 90
    assert (red.sum(0).max(), red.sum(1).max()) == (30, 50)


async def test_the_first_chunk_is_short_so_that_the_first_answer_comes_early(
    tmp_path: Path,
) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=20)
    with path.open("rb") as file:
        async with open_clip(file, LIMITS, Sampling(25)) as clip:
            sizes = [len(chunk.frames) async for chunk in clip]
    assert sizes[:2] == [2, 8]
    assert sum(sizes) == 20


async def test_low_rates_still_get_chunks_of_a_few_seconds(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=30, rate=2, sound_s=15.0)
    with path.open("rb") as file:
        async with open_clip(file, LIMITS, Sampling(rate_hz=1.0)) as clip:
            chunks = [chunk async for chunk in clip]
    assert [frame.time_s for chunk in chunks for frame in chunk.frames] == list(range(15))
    assert max(len(chunk.sound.pcm) for chunk in chunks if chunk.sound) < 2 * 7 * RATE_HZ


async def test_sound_that_lies_behind_all_pictures_is_still_beside_them(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", frames=100, sound_s=4.0)
    with path.open("rb") as file:
        async with open_clip(file, LIMITS, Sampling()) as clip:
            first = await anext(aiter(clip))
    assert first.sound is not None
    assert first.sound.start == 0
    assert first.sound.end == round((first.frames[-1].time_s + 1.55) * RATE_HZ)


@pytest.mark.parametrize("kind", ["mkv", "webm", "avi", "mpg"])
async def test_a_tail_that_is_cut_off_is_read_as_far_as_it_goes(kind: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", frames=100, sound_s=None)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    found = await read(path)
    assert 20 <= len(found.frames) < 100
    assert numbers(found.frames[:10]) == list(range(10))
    assert found.totals.decoded_frames < 100


async def test_a_cut_off_mp4_tells_how_much_was_expected(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "clip.mp4", frames=100, sound_s=4.0, options={"movflags": "faststart"}
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    found = await read(path)
    assert found.info.expected_frames == 100
    assert 10 <= found.totals.decoded_frames < 100
    assert found.info.sound is not None
    assert found.info.sound.expected_s == pytest.approx(4.0, abs=0.1)
    assert not found.totals.complete


@pytest.mark.parametrize("kind", VIDEOS)
async def test_a_damaged_middle_does_not_end_the_clip(kind: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", frames=100, sound_s=None)
    data = bytearray(path.read_bytes())
    middle = len(data) * 4 // 10
    data[middle : middle + len(data) // 12] = np.random.default_rng(1).bytes(len(data) // 12)
    path.write_bytes(data)
    found = await read(path)
    assert found.frames[-1].time_s > 3.5
    assert len(found.frames) > 50
    assert numbers(found.frames[:20]) == list(range(20))


async def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "song.flac"
    with av.open(str(path), "w") as container:
        track = container.add_stream("flac", rate=22_050)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        image = image.reformat(format="yuvj420p")
        image.pts = 0
        for packet in [*cover.encode(image), *cover.encode(None)]:
            container.mux(packet)
        from tests.service.clip_files import tone, write_sound

        write_sound(container, track, tone(0.5, 22_050), 22_050)
    found = await read(path)
    assert found.info.codec is None
    assert all(frame.picture is None for frame in found.frames)
