"""Files that are no clips, or too much of one: each refused by name, with the limit."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from service.errors import Problem, ServiceError
from service.media.clips.contents import ClipChunk, ClipLimits, Sampling
from service.media.clips.process import Clip, clip_limits, open_clip
from service.settings import Settings
from tests.made_pictures import encoded
from tests.service.clip_files import write_clip
from tests.service.clip_reading import LIMITS


async def read(path: Path, limits: ClipLimits = LIMITS) -> tuple[Clip, list[ClipChunk]]:
    with path.open("rb") as file:
        async with open_clip(file, limits, Sampling()) as clip:
            return clip, [chunk async for chunk in clip]


async def refusal(path: Path, limits: ClipLimits = LIMITS) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await read(path, limits)
    return caught.value


BYTES: dict[str, tuple[bytes, Problem, str]] = {
    "nothing": (b"", Problem.EMPTY_BODY, "no bytes"),
    "text": (b"what a laugh this is\n" * 50, Problem.NOT_A_CLIP, "text that begins"),
    "noise": (bytes(range(1, 256)) * 9, Problem.NOT_A_CLIP, "bytes that begin 01 02"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(400), Problem.NOT_A_CLIP, "PNG"),
    "web page": (b"\xef\xbb\xbf<!DOCTYPE html><html>" + bytes(99), Problem.NOT_A_CLIP, "HTML page"),
    "data URL": (b"data:video/mp4;base64,AAAAIGZ0", Problem.NOT_A_CLIP, "decode it first"),
    "AIFF": (b"FORM\0\0\1\0AIFFCOMM" + bytes(99), Problem.UNSUPPORTED_CLIP, "AIFF sound"),
    "archive": (gzip.compress(bytes(10_000)), Problem.NOT_A_CLIP, "gzip"),
    "playlist": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        Problem.NOT_A_CLIP,
        "#EXTM3U",
    ),
    "list of files": (
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        Problem.NOT_A_CLIP,
        "ffconcat",
    ),
    "mp4 of nothing": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", Problem.INVALID_CLIP, "MP4"),
    "avi of nothing": (b"RIFF\xff\0\0\0AVI LIST", Problem.INVALID_CLIP, "AVI"),
}


@pytest.mark.parametrize("name", BYTES)
async def test_bytes_that_are_no_clip_are_named(name: str, tmp_path: Path) -> None:
    data, problem, told = BYTES[name]
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    error = await refusal(path)
    assert error.problem is problem
    assert told in error.detail
    assert 400 <= error.problem.status < 500


@pytest.mark.parametrize(
    ("format", "named"),
    [
        *(("AVIF", "AVIF"), ("HEIF", "HEIC"), ("JPEG", "JPEG"), ("MPO", "JPEG"), ("PNG", "PNG")),
        *(("GIF", "GIF"), ("WEBP", "WEBP"), ("TIFF", "TIFF"), ("JPEG2000", "JPEG 2000")),
    ],
)
async def test_a_picture_is_no_clip_and_is_told_where_it_belongs(
    format: str, named: str, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    more = {"save_all": True, "append_images": frames[1:]}
    if format in ("JPEG", "JPEG2000", "HEIF"):
        more = {}
    for options in ({}, more):
        path = tmp_path / "clip.mp4"
        path.write_bytes(encoded(frames[0], format, **options))
        error = await refusal(path)
        assert error.problem is Problem.NOT_A_CLIP
        assert f"found {named}, a picture" in error.detail
        if format in ("TIFF", "JPEG2000"):
            assert "not read here; send JPEG, PNG" in error.detail
        else:
            assert "/affect as the field `image` or declared as image/jpeg" in error.detail
            assert "`affect_photo`" in error.detail


async def test_a_container_that_is_not_read_here_is_unsupported(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.flv", frames=5)
    error = await refusal(path)
    assert error.problem is Problem.UNSUPPORTED_CLIP
    assert "Flash video" in error.detail


async def test_an_mp4_without_its_end_and_so_without_its_index_is_invalid(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=50)
    path.write_bytes(path.read_bytes()[:-4000])
    error = await refusal(path)
    assert error.problem is Problem.INVALID_CLIP
    assert "broken or cut off" in error.detail


async def test_a_clip_in_which_nothing_can_be_decoded_is_empty(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "clip.mp4", frames=1, sound_s=None, options={"movflags": "faststart"}
    )
    data = path.read_bytes()
    begin = data.index(b"mdat") + 4
    path.write_bytes(data[:begin] + bytes(len(data) - begin))
    assert (await refusal(path)).problem is Problem.EMPTY_CLIP


async def test_a_wave_file_of_no_length_is_empty(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.wav", sound_s=0.1)
    path.write_bytes(path.read_bytes()[:-3200])
    assert (await refusal(path)).problem in {Problem.EMPTY_CLIP, Problem.INVALID_CLIP}


async def test_pictures_beyond_repair_leave_the_sound(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.webm", frames=25, sound_s=1.0)
    path.write_bytes(path.read_bytes().replace(b"V_VP8", b"V_VP9"))
    clip, chunks = await read(path)
    assert all(frame.picture is None for chunk in chunks for frame in chunk.frames)
    assert clip.info.sound is not None
    assert clip.totals is not None
    assert not clip.totals.complete


@pytest.mark.parametrize(("frames", "read_on"), [(5, True), (0, False)])
async def test_sound_of_an_unknown_coding_is_left_out_of_a_video(
    frames: int, read_on: bool, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mkv", frames=frames, sound_s=0.5)
    path.write_bytes(path.read_bytes().replace(b"A_FLAC", b"A_XLAC"))
    if read_on:
        clip, chunks = await read(path)
        assert clip.info.sound is None
        assert sum(len(chunk.frames) for chunk in chunks) == 5
        assert clip.totals is not None
        assert not clip.totals.complete
    else:
        assert (await refusal(path)).problem is Problem.UNSUPPORTED_CLIP


async def test_an_unknown_coding_is_unsupported(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", frames=5, sound_s=None)
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_XPEG4/ISO/XXX"))
    error = await refusal(path)
    assert error.problem is Problem.UNSUPPORTED_CLIP
    assert "coded" in error.detail


@pytest.mark.parametrize("kind", ["mp4", "mkv", "wav"])
async def test_a_clip_that_declares_to_be_too_long_is_refused_at_once(
    kind: str, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", frames=100, sound_s=4.0)
    error = await refusal(path, replace(LIMITS, duration_s=2.0))
    assert error.problem is Problem.CLIP_TOO_LONG
    assert "declares 4.0 s" in error.detail
    assert "at most 2 s" in error.detail


@pytest.mark.parametrize("kind", ["webm", "mp3"])
async def test_a_clip_that_declares_no_length_is_refused_where_it_gets_too_long(
    kind: str, tmp_path: Path
) -> None:
    options = {"webm": {"live": "1"}, "mp3": {"write_xing": "0"}}[kind]
    path = write_clip(tmp_path / f"clip.{kind}", frames=75, sound_s=3.0, options=options)
    data = path.read_bytes()
    path.write_bytes(data)
    error = await refusal(path, replace(LIMITS, duration_s=2.0))
    assert error.problem is Problem.CLIP_TOO_LONG
    assert "at most 2 s" in error.detail


async def test_a_clip_of_just_the_limit_is_read_with_its_padding(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=25, sound_s=1.0)
    clip, _ = await read(path, replace(LIMITS, duration_s=1.0))
    assert clip.totals is not None
    assert clip.totals.duration_s > 1.0


async def test_a_header_that_declares_too_little_does_not_help(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.wav", sound_s=4.0)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = (0xFFFFFFFF).to_bytes(4, "little")  # a stream's: as long as it goes
    path.write_bytes(data)
    error = await refusal(path, replace(LIMITS, duration_s=2.0))
    assert error.problem is Problem.CLIP_TOO_LONG


async def test_too_many_frames_are_refused(tmp_path: Path) -> None:
    for kind in ("mp4", "mkv"):
        path = write_clip(tmp_path / f"clip.{kind}", frames=60, sound_s=None)
        error = await refusal(path, replace(LIMITS, frames=50))
        assert error.problem is Problem.CLIP_TOO_LONG
        assert "more than 50 frames" in error.detail


async def test_frames_of_too_many_pixels_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=2, size=(320, 240), sound_s=None)
    error = await refusal(path, replace(LIMITS, pixels=320 * 240 - 1))
    assert error.problem is Problem.TOO_MANY_PIXELS
    assert "320 x 240" in error.detail
    assert "76799" in error.detail


@pytest.mark.slow
async def test_8k_frames_are_refused_by_default(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=1, size=(7680, 4320), sound_s=None)
    error = await refusal(path)
    assert error.problem is Problem.TOO_MANY_PIXELS
    assert "7680 x 4320" in error.detail


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
async def test_too_many_streams_are_refused(kind: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", frames=1, sound_s=0.1, sounds=40)
    error = await refusal(path)
    assert error.problem is Problem.TOO_MANY_STREAMS
    assert "more than 32 streams" in error.detail


async def test_a_thousand_streams_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=2, sound_s=None)
    data = path.read_bytes()
    moov, trak = data.index(b"moov") - 4, data.index(b"trak") - 4
    length = int.from_bytes(data[trak : trak + 4], "big")
    moov_length = int.from_bytes(data[moov : moov + 4], "big") + 1000 * length
    track = data[trak : trak + length]
    head = data[:moov] + moov_length.to_bytes(4, "big") + data[moov + 4 : trak]
    path.write_bytes(head + 1000 * track + data[trak:])
    assert (await refusal(path)).problem is Problem.TOO_MANY_STREAMS


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 3]


def _zeros(data: bytes) -> bytes:
    return data[:200] + bytes(len(data) - 200)


def _doubled(data: bytes) -> bytes:
    return data + data


@pytest.mark.parametrize("damage", [_cut, _zeros, _doubled])
@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm", "avi", "mpg", "mp3", "ogg", "flac"])
@pytest.mark.slow
async def test_damage_gives_a_clip_or_a_named_error(
    kind: str, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", frames=50, sound_s=2.0)
    path.write_bytes(damage(path.read_bytes()))
    found: Problem | None = None
    try:
        await read(path)
    except ServiceError as error:
        found = error.problem
    assert found in {None, Problem.INVALID_CLIP, Problem.EMPTY_CLIP, Problem.NOT_A_CLIP}


def test_the_settings_are_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(max_clip_s=60, max_clip_pixels=10**6, clip_cpu_s=9, clip_stall_s=3)
    limits = clip_limits(settings)
    assert (limits.duration_s, limits.pixels, limits.cpu_s, limits.stall_s) == (60, 10**6, 9, 3)
    monkeypatch.delenv("COUNTENANCE_CLIP_STALL_S")
    assert clip_limits(Settings()) == ClipLimits()
