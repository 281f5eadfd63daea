"""Affect in the page: live with sound, a clip that is looked through, and what can be saved."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page, expect

from tests.browser.patience import until

FIGURE = re.compile(r"^[+−]?\d\.\d\d$")


@pytest.fixture
def affect(affect_service, open_page):
    return open_page(affect_service, "affect")


def part(page: Page, name: str):
    return page.locator(f"#affect [data-part={name}]")


def read_clip(page: Page, path: Path) -> int:
    """Read a clip to its end; return how many frames it has."""
    page.set_input_files("#affect input[type=file]", path)
    expect(part(page, "status")).to_contain_text("Done", timeout=120_000)
    return int(re.search(r"\d+", part(page, "status").inner_text())[0])


def saved(page: Page, kind: str, name: str = "clip") -> str:
    with page.expect_download() as download:
        page.locator("#affect").get_by_role("button", name=kind).click()
    assert download.value.suggested_filename == f"{name}.{kind.lower()}"
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_a_clip_is_read_and_any_moment_of_it_can_be_looked_at(affect, media, shoot):
    shoot(affect, "affect-empty")
    frames = read_clip(affect, media / "clip.webm")
    assert frames >= 55
    scrub = affect.get_by_label("Moment")
    scrub.focus()
    for _ in range(10):
        affect.keyboard.press("ArrowRight")
    expect(part(affect, "moment")).to_have_text("0:00.5")
    until(affect, "Math.abs(document.querySelector('#affect video').currentTime - 0.5) < 0.06")
    expect(part(affect, "valence")).to_have_text(FIGURE)
    affect.get_by_text("Workings: what the estimate leans on").click()
    expect(part(affect, "gate")).not_to_be_empty()
    affect.locator("#affect .u-over").click(position={"x": 600, "y": 60})
    expect(part(affect, "moment")).not_to_have_text("0:00.5")
    expect(part(affect, "summary")).to_contain_text("Valence, mean")
    expect(part(affect, "answer")).to_contain_text("A face was seen in")
    shoot(affect, "affect-clip")


def test_what_was_found_in_a_clip_can_be_saved(affect, media):
    frames = read_clip(affect, media / "clip.webm")
    rows = list(csv.DictReader(io.StringIO(saved(affect, "CSV"))))
    assert len(rows) == frames
    assert -1 <= float(rows[-1]["valence"]) <= 1
    drawing = ElementTree.fromstring(saved(affect, "SVG"))
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"


def test_what_a_clip_is_called_agrees_with_the_words_of_its_face(affect, media):
    read_clip(affect, media / "clip.webm")
    top = part(affect, "expressions").locator(".top-share .name").inner_text()
    expect(part(affect, "quadrant")).to_have_text(top, ignore_case=True)
    expect(part(affect, "why")).to_be_visible()
    mostly = part(affect, "summary").locator("div", has_text="Mostly").locator("dd").inner_text()
    expect(part(affect, "answer")).to_contain_text(f"Mostly {mostly.lower()}")
    assert "," not in mostly


def test_each_face_of_a_clip_can_be_looked_at_and_has_a_colour_of_its_own(affect, media, shoot):
    frames = read_clip(affect, media / "pair.webm")
    chips = part(affect, "faces").get_by_role("radio")
    expect(chips).to_have_count(2)
    expect(part(affect, "answer")).to_contain_text("2 faces, each by itself")
    expect(part(affect, "summary")).to_contain_text("of the frames")
    affect.locator("#affect .u-over").click(position={"x": 500, "y": 60})
    labels = [one.evaluate("input => input.parentElement.innerText") for one in chips.all()]
    colours = set()
    for label in labels:
        part(affect, "faces").get_by_text(label).click()
        expect(part(affect, "valence")).to_have_text(FIGURE)
        colours.add(
            part(affect, "circumplex").evaluate("field => field.style.getPropertyValue('--face')")
        )
    assert len(colours) == 2
    shoot(affect, "affect-pair")
    rows = list(csv.DictReader(io.StringIO(saved(affect, "CSV", "pair"))))
    assert len(rows) > 1.5 * frames
    assert {row["face_id"] for row in rows} >= {label.split()[1] for label in labels}
    assert labels[1].lower() in saved(affect, "SVG", "pair")


def test_a_clip_of_one_face_has_nothing_to_choose(affect, media):
    read_clip(affect, media / "clip.webm")
    expect(part(affect, "faces")).to_be_hidden()


def test_a_photograph_is_answered_face_by_face(affect, shoot):
    affect.get_by_role("button", name="Try it with a sample").click()
    expect(part(affect, "status")).to_have_text("One face")
    expect(part(affect, "answer")).to_contain_text("happiness")
    expect(part(affect, "valence")).to_have_text(FIGURE)
    expect(part(affect, "expressions")).to_contain_text("happiness", ignore_case=True)
    expect(part(affect, "timepanel")).to_be_hidden()
    shoot(affect, "affect-photo")


def test_a_photograph_after_a_clip_has_no_player_over_it(affect, media):
    read_clip(affect, media / "clip.webm")
    assert part(affect, "video").evaluate("video => video.controls")
    affect.get_by_role("button", name="Close").click()
    affect.get_by_role("button", name="Try it with a sample").click()
    expect(part(affect, "status")).to_have_text("One face")
    assert not part(affect, "video").evaluate("video => video.controls")
    expect(part(affect, "summary")).to_contain_text("Happiness")


def test_camera_and_microphone_are_estimated_live_and_through_a_cut(affect, shoot):
    with affect.expect_websocket() as opened:
        affect.get_by_role("button", name="Start camera and microphone").click()
    kinds: set[bytes] = set()
    opened.value.on(
        "framesent", lambda data: kinds.add(data[:1]) if isinstance(data, bytes) else None
    )
    expect(part(affect, "status")).to_have_text("Live")
    expect(part(affect, "valence")).to_have_text(FIGURE)
    affect.wait_for_timeout(2500)
    assert kinds == {b"F", b"S"}
    shoot(affect, "affect-live")
    affect.get_by_text("Workings: what the estimate leans on").click()
    expect(part(affect, "line")).to_contain_text("frames a second")
    affect.locator("#affect").get_by_role("button", name="Cut the connection").click()
    expect(part(affect, "about")).to_contain_text("the session went on at step")
    affect.get_by_role("button", name="Stop", exact=True).click()
    expect(part(affect, "status")).to_have_text("Stopped")
    expect(affect.locator("#affect [data-save=csv]")).to_be_enabled()
    shoot(affect, "affect-stopped")


def test_what_is_no_clip_is_refused_in_the_service_s_words(affect_service, open_page, tmp_path):
    page = open_page(affect_service, "affect", expect=("415", "422"))
    path = tmp_path / "noise.mp4"
    path.write_bytes(bytes(range(256)) * 8)
    page.set_input_files("#affect input[type=file]", path)
    expect(page.get_by_role("alert")).to_contain_text("The bytes are neither a video nor sound")
    expect(page.get_by_text("Drop a clip or a photo here")).to_be_visible()


def test_without_its_model_the_service_says_so(service, open_page, media, shoot):
    page = open_page(service, "affect", expect=("503",))
    problem = {"type": "urn:countenance:problem:unavailable", "title": "The models are not ready"}
    page.route(
        "**/affect?*",
        lambda route: route.fulfill(
            status=503,
            json={**problem, "status": 503, "detail": "the model affect is not loaded"},
            content_type="application/problem+json",
        ),
    )
    page.set_input_files("#affect input[type=file]", media / "clip.webm")
    expect(page.get_by_role("alert")).to_contain_text("one of its models is missing")
    shoot(page, "affect-error")
