"""A photo in the page: chosen, dropped or pasted; looked at, saved, and refused in plain words."""

import base64
import csv
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.footage import PORTRAIT

PASTE = """(data) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: files, bubbles: true }));
}"""
# How many pixels of the overlay are not empty.
DRAWN = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, copy.width, copy.height);
  let count = 0;
  for (let index = 3; index < data.length; index += 4) count += data[index] > 0;
  return count;
}"""


def choose(page: Page, path: Path) -> None:
    page.set_input_files("#photo input[type=file]", path)


def saved(page: Page, kind: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("group", name="Download").get_by_role("button", name=kind).click()
    assert download.value.suggested_filename == f"portrait.{kind.lower()}"
    return Path(download.value.path()).read_bytes()


@pytest.fixture
def blurred_photo(tmp_path: Path) -> Path:
    """The sample out of focus."""
    path = tmp_path / "blurred.png"
    cv2.imwrite(str(path), cv2.GaussianBlur(cv2.imread(str(PORTRAIT)), (0, 0), 2.2))
    return path


def test_the_sample_shows_its_face_with_all_that_is_known_of_it(service, open_page, shoot):
    page = open_page(service)
    shoot(page, "photo-empty")
    page.get_by_role("button", name="Try it with a sample").click()
    expect(page.get_by_role("heading", name="One face")).to_be_visible()
    card = page.get_by_role("article", name="Face 1")
    expect(card).to_contain_text("Pitch")
    expect(card).to_contain_text("clean")
    assert card.get_by_role("figure").count() == 2
    expect(page.locator("[data-limit=picture]")).to_have_text("up to 10 MB and 50 megapixels")
    overlay = page.get_by_role("img", name="portrait.jpg: one face")
    everything = overlay.evaluate(DRAWN)
    assert everything > 1000
    shoot(page, "photo")
    for layer in ("Landmarks", "Box", "Pose"):
        page.get_by_text(layer, exact=True).click()
    assert overlay.evaluate(DRAWN) == 0


def test_what_is_known_can_be_saved(service, open_page):
    page = open_page(service)
    choose(page, PORTRAIT)
    expect(page.get_by_role("button", name="JSON")).to_be_enabled()
    reply = json.loads(saved(page, "JSON"))
    assert len(reply["faces"][0]["landmarks"]) == 68
    (row,) = csv.DictReader(io.StringIO(saved(page, "CSV").decode()), skipinitialspace=True)
    assert float(row["x_30"]) == pytest.approx(reply["faces"][0]["landmarks"][30][0], abs=0.5)
    drawn = Image.open(io.BytesIO(saved(page, "PNG"))).convert("RGB")
    assert drawn.size == (512, 512)
    original = np.asarray(Image.open(PORTRAIT).convert("RGB"), np.int16)
    changed = np.abs(np.asarray(drawn, np.int16) - original).max(axis=2) > 60
    x1, y1, x2, y2 = (int(value) for value in reply["faces"][0]["box"])
    assert changed[y1:y2, x1:x2].sum() > 200
    assert changed[300:].sum() == 0


def test_a_spoiled_face_is_shown_beside_its_denoised_self(service, open_page, blurred_photo, shoot):
    page = open_page(service)
    choose(page, blurred_photo)
    card = page.get_by_role("article", name="Face 1")
    expect(card).to_contain_text("Denoised")
    expect(card.locator(".top-share")).to_contain_text("blur")
    shoot(page, "photo-blurred")


def test_a_photo_can_be_pasted(service, open_page):
    page = open_page(service)
    page.evaluate(PASTE, base64.b64encode(PORTRAIT.read_bytes()).decode())
    expect(page.get_by_role("heading", name="One face")).to_be_visible()


def test_a_photo_without_a_face_says_so(service, open_page, tmp_path, shoot):
    page = open_page(service)
    path = tmp_path / "wall.png"
    Image.linear_gradient("L").resize((640, 360)).convert("RGB").save(path)
    choose(page, path)
    expect(page.get_by_role("heading", name="No face found")).to_be_visible()
    shoot(page, "photo-no-face")


def test_a_face_can_be_enlarged_and_the_whole_photo_shown_again(service, open_page, shoot):
    page = open_page(service)
    choose(page, PORTRAIT)
    page.get_by_role("button", name="Show face 1 in the photo").click()
    shown = "document.querySelector('#photo [data-part=picture]').getBoundingClientRect().width"
    enlarged = page.evaluate(shown)
    overlay = page.get_by_role("img", name="portrait.jpg: one face")
    assert overlay.evaluate(DRAWN) > 1000
    shoot(page, "photo-enlarged")
    page.get_by_role("button", name="Whole photo").click()
    assert page.evaluate(shown) < enlarged / 1.5


def test_many_faces_are_a_list_of_which_each_can_be_opened(service, open_page, tmp_path, shoot):
    face = Image.open(PORTRAIT).crop((120, 30, 330, 240)).resize((96, 96))
    crowd = Image.new("RGB", (960, 480), (90, 96, 104))
    for index in range(12):
        crowd.paste(face, (40 + index % 6 * 150, 60 + index // 6 * 220))
    crowd.save(tmp_path / "crowd.png")
    page = open_page(service)
    choose(page, tmp_path / "crowd.png")
    expect(page.get_by_role("heading", name="12 faces")).to_be_visible()
    assert page.locator("#photo details[open].none, #photo .card details[open]").count() == 0
    last = page.get_by_role("article", name="Face 12")
    last.locator("summary").click()
    expect(last).to_contain_text("Head pose")
    shoot(page, "photo-crowd")


def test_what_is_no_picture_is_refused_in_words_for_people(service, open_page, tmp_path, shoot):
    page = open_page(service, expect=("415",))
    path = tmp_path / "letter.txt"
    path.write_text("Dear all")
    choose(page, path)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The bytes are not a picture")
    expect(alert).to_contain_text("Choose a photo")
    # The same file would be refused again.
    expect(alert.get_by_role("button", name="Try again")).to_have_count(0)
    expect(page.get_by_text("Drop a photo here")).to_be_visible()
    shoot(page, "photo-error")


def test_a_service_that_is_away_is_named_as_such(service, open_page, shoot):
    page = open_page(service, expect=("ERR_FAILED", "ERR_INTERNET_DISCONNECTED"))
    page.context.set_offline(True)
    choose(page, PORTRAIT)
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="One face")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
