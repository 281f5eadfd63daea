"""Pictures as people have them: HEIC and AVIF, JPEG without its end, high dynamic range."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pillow_heif import HeifImage, from_pillow

from handlers.processing.image import ImageError, decode_image
from handlers.processing.tone import HLG, PQ, Curve, hlg_light, pq_light
from tests.made_pictures import encoded

ASTRONAUT = Path(__file__).parents[1] / "assets" / "astronaut.jpg"
MOST = 1_000_000
with Pillow.open(ASTRONAUT) as _opened:
    PORTRAIT = _opened.convert("RGB").resize((256, 256))


def heic(picture: Pillow.Image, **options: object) -> bytes:
    """A picture as phones write it."""
    data = BytesIO()
    image: HeifImage = from_pillow(picture)
    image.save(data, quality=95, **options)
    return data.getvalue()


def apart(first: np.ndarray, second: np.ndarray | Pillow.Image) -> float:
    return float(np.abs(first.astype(int) - np.asarray(second)).mean())


def test_heic_and_avif_are_read() -> None:
    for name, data in (("HEIC", heic(PORTRAIT)), ("AVIF", encoded(PORTRAIT, "AVIF", quality=95))):
        decoded = decode_image(data, MOST)
        assert (decoded.format, decoded.frames, decoded.notes) == (name, 1, ())
        assert apart(decoded.pixels, PORTRAIT) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_heic_avif_png_and_webp_is_applied_once(orientation: int) -> None:
    mark = Pillow.Exif()
    mark[0x0112] = orientation
    exif = mark.tobytes()
    upright = decode_image(encoded(PORTRAIT, "JPEG", quality=95, exif=exif), MOST)
    files = [encoded(PORTRAIT, name, quality=95, exif=exif) for name in ("AVIF", "PNG", "WEBP")]
    for data in (*files, heic(PORTRAIT, exif=exif)):
        decoded = decode_image(data, MOST)
        assert decoded.rotated == (orientation != 1)
        assert apart(decoded.pixels, upright.pixels) < 6


@pytest.mark.parametrize("name", ["HEIC", "AVIF"])
def test_their_header_bounds_them_before_they_are_decoded(name: str) -> None:
    data = heic(PORTRAIT) if name == "HEIC" else encoded(PORTRAIT, "AVIF")
    with pytest.raises(ImageError) as refused:
        decode_image(data, 256 * 256 - 1)
    assert refused.value.type == "too-many-pixels"


def test_further_pictures_of_heic_are_no_animation() -> None:
    image = from_pillow(PORTRAIT)
    image.add_from_pillow(PORTRAIT.rotate(90))
    data = BytesIO()
    image.save(data)
    assert decode_image(data.getvalue(), 256 * 256).frames == 1


def test_of_an_animated_avif_the_first_frame_is_taken_and_noted() -> None:
    data = encoded(PORTRAIT, "AVIF", save_all=True, append_images=[PORTRAIT.rotate(90)], quality=95)
    decoded = decode_image(data, MOST)
    assert decoded.notes == ("animation of 2 frames: the first one is used",)
    assert apart(decoded.pixels, PORTRAIT) < 5


KINDS = {
    "plain": {},
    "progressive": {"progressive": True},
    "restarted": {"restart_marker_rows": 1},
    "progressive, restarted": {"progressive": True, "restart_marker_blocks": 9},
}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_without_its_end_marker_is_read_with_a_note(kind: str, mode: str) -> None:
    data = encoded(PORTRAIT.convert(mode), "JPEG", quality=90, **KINDS[kind])
    whole = decode_image(data, MOST)
    for missing in (1, 2, 3):
        decoded = decode_image(data[:-missing], MOST)
        assert "ends before its end marker" in decoded.notes[0]
        assert apart(decoded.pixels, whole.pixels) < 0.5


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.75, 0.9])
def test_a_jpeg_of_which_more_is_missing_is_truncated(kind: str, mode: str, share: float) -> None:
    data = encoded(PORTRAIT.convert(mode), "JPEG", quality=90, **KINDS[kind])
    with pytest.raises(ImageError) as refused:
        decode_image(data[: int(len(data) * share)], MOST)
    assert refused.value.type == "truncated-image"


def test_a_progressive_jpeg_cut_off_between_its_scans_is_truncated() -> None:
    data = encoded(PORTRAIT, "JPEG", progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    for scan in scans[1:]:
        with pytest.raises(ImageError, match="ends early"):
            decode_image(data[:scan], MOST)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_high_dynamic_range_looks_as_ordinary_pictures_do(transfer: int) -> None:
    """Code an ordinary picture so that its white has 203 cd/m2, and read it back."""
    light = pq_light if transfer == PQ else hlg_light
    codes = np.linspace(0, 1, 4096)
    grey = np.arange(0, 200, dtype=np.uint8)
    shown = grey / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    coded = np.interp(linear * 203, light(codes), codes)
    pixels = np.repeat(np.rint(coded * 255).astype(np.uint8)[None, :, None], 3, axis=2)
    Curve(transfer, 1).apply(pixels)
    found = pixels[0, :, 0].astype(int)
    assert np.abs(found - grey).max() <= 12  # the knee dims what is bright; 8 bits are coarse
    assert np.abs(found - grey).mean() <= 4


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "PQ"), (HLG, "HLG")])
def test_an_avif_that_declares_high_dynamic_range_is_brought_down_and_noted(
    transfer: int, name: str
) -> None:
    data = bytearray(encoded(PORTRAIT, "AVIF", quality=95))
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = (9).to_bytes(2, "big") + transfer.to_bytes(2, "big")
    decoded = decode_image(bytes(data), MOST)
    assert decoded.notes == (f"high dynamic range ({name}) brought to that of ordinary pictures",)
    assert apart(decoded.pixels, PORTRAIT) > 10
