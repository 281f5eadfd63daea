"""The camera in the page: faces followed live, through cuts and refusals."""

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.patience import until
from tests.browser.test_photo import DRAWN

NO_CAMERA = """() => {
  const refuse = async () => { throw new DOMException("Permission denied", "NotAllowedError"); };
  navigator.mediaDevices.getUserMedia = refuse;
}"""


def start(page: Page) -> None:
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera [data-part=status]")).to_have_text("Following")


def step_of(page: Page) -> int:
    return int(page.locator("#camera [data-part=step]").text_content() or 0)


def wait_for_step(page: Page, step: int) -> None:
    shown = "document.querySelector('#camera [data-part=step]').textContent"
    until(page, f"Number({shown}) >= {step}")


@pytest.fixture
def camera(service, open_page):
    return open_page(service, "camera")


def test_a_face_is_followed_and_the_pace_is_told(camera, shoot):
    shoot(camera, "camera-empty")
    start(camera)
    camera.wait_for_timeout(2500)
    assert camera.locator("#camera [data-part=overlay]").evaluate(DRAWN) > 500
    expect(camera.locator("#camera [data-part=fps]")).to_have_text(re.compile(r"^\d+\.\d$"))
    expect(camera.locator("#camera [data-part=latency]")).to_have_text(re.compile(r"^\d+ ms$"))
    expect(camera.locator("#camera [data-part=tracks]")).to_contain_text("Face 1")
    shoot(camera, "camera")
    before = step_of(camera)
    wait_for_step(camera, before + 1)


def test_a_cut_connection_comes_back_and_the_session_goes_on(camera, shoot):
    start(camera)
    before = step_of(camera)
    camera.get_by_text("Workings", exact=True).click()
    camera.get_by_role("button", name="Cut the connection").click()
    log = camera.get_by_role("log")
    expect(log).to_contain_text("Connection lost, trying again in 2.0 s")
    shoot(camera, "camera-cut")
    expect(log).to_contain_text("the session went on at step")
    assert step_of(camera) > before
    expect(camera.locator("#camera [data-part=status]")).to_have_text("Following")
    wait_for_step(camera, before + 6)
    shoot(camera, "camera-back")


def test_options_take_hold_without_losing_the_session(camera):
    start(camera)
    before = step_of(camera)
    with camera.expect_websocket() as socket:
        camera.get_by_label("Faces").select_option("2")
    told = socket.value.wait_for_event("framesent")
    assert '"max_faces":2' in told
    wait_for_step(camera, before + 1)


def test_stopping_closes_the_camera_and_ends_the_session(camera):
    start(camera)
    session = camera.locator("#camera [data-part=session]").text_content()
    with camera.expect_response(re.compile(f"/track/{session}$")) as ended:
        camera.get_by_role("button", name="Stop", exact=True).click()
    assert ended.value.request.method == "DELETE"
    assert ended.value.status == 204
    expect(camera.get_by_role("button", name="Start the camera")).to_be_visible()
    assert camera.evaluate("document.querySelector('#camera video').srcObject") is None


def test_what_was_measured_can_be_kept_as_a_table_after_the_stop(camera):
    start(camera)
    wait_for_step(camera, 12)
    camera.get_by_role("button", name="Stop", exact=True).click()
    expect(camera.locator("#camera [data-part=about]")).to_contain_text("frames in")
    with camera.expect_download() as download:
        camera.get_by_role("button", name="Save as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert len(rows) >= 8
    times = [float(row["timestamp"]) for row in rows]
    assert times == sorted(times)
    assert times[0] >= 0
    seen = [row for row in rows if row["success"] == "1"]
    assert all(row["x_30"] and row["pose_Ry"] for row in seen)
    x1, x2 = float(seen[-1]["box_x1"]), float(seen[-1]["box_x2"])
    assert x1 < float(seen[-1]["x_30"]) < x2


def test_without_a_camera_a_sample_can_be_followed(camera):
    camera.evaluate(NO_CAMERA)
    camera.get_by_role("button", name="Follow a sample").click()
    expect(camera.locator("#camera [data-part=status]")).to_have_text("Following")
    wait_for_step(camera, 5)


def test_points_are_drawn_on_the_picture_that_was_measured(camera):
    start(camera)
    expect(camera.get_by_label("Picture")).to_have_value("measured")
    covered = """(canvas) => {
      const context = canvas.getContext("2d");
      const { width, height } = canvas;
      return [...context.getImageData(width / 2, height / 2, 1, 1).data][3];
    }"""
    assert camera.locator("#camera [data-part=overlay]").evaluate(covered) == 255


def test_leaving_the_view_closes_the_camera(camera):
    start(camera)
    camera.get_by_role("link", name="Photo").click()
    expect(camera.get_by_role("heading", name="Photo")).to_be_visible()
    assert camera.evaluate("document.querySelector('#camera video').srcObject") is None


def test_a_camera_that_is_not_given_is_asked_for_in_plain_words(camera, shoot):
    camera.evaluate(NO_CAMERA)
    camera.get_by_role("button", name="Start the camera").click()
    alert = camera.get_by_role("alert")
    expect(alert).to_contain_text("The browser did not give the camera")
    shoot(camera, "camera-refused")


def test_a_page_that_is_not_secure_is_told_what_it_takes(camera):
    camera.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    camera.get_by_role("button", name="Start the camera").click()
    expect(camera.get_by_role("alert")).to_contain_text("The camera needs https here")


def test_a_session_that_another_connection_takes_is_given_up_and_says_so(camera):
    start(camera)
    session = camera.locator("#camera [data-part=session]").text_content()
    camera.evaluate(f"new WebSocket(`ws://${{location.host}}/track/{session}`)")
    expect(camera.get_by_role("alert")).to_contain_text(
        "Another connection has gone on with the session or ended it"
    )
