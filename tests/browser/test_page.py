"""The page as a whole: keys, keyboard, narrow screens, dark rooms, and nobody else's servers."""

import base64
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE
from tests.browser.footage import PORTRAIT

VIEWS = ("photo", "camera", "affect")
TRACK = """async (data) => {
  const { Countenance } = await import("./web/client/countenance.js");
  const service = new Countenance();
  const picture = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0)).buffer;
  const live = service.trackLive("client-test", { max_faces: 2 });
  live.open();
  const both = await Promise.all([live.send(picture, 0), live.send(picture, 0.04)]);
  live.cut();
  live.hurry();
  both.push(await live.send(picture, 0.08));
  live.close();
  await service.end("track", "client-test");
  return both.map(({ step, sequence, time_s }) => ({ step, sequence, time_s }));
}"""
RESAMPLE = """async ([hertz]) => {
  const { Resampler } = await import("./web/resample.js");
  const resampler = new Resampler(48000, 22050);
  const heard = [];
  for (let block = 0; block < 375; block += 1) {
    const wave = (_, index) => Math.sin((2 * Math.PI * hertz * (block * 128 + index)) / 48000);
    heard.push(...resampler.push(Float32Array.from({ length: 128 }, wave)));
  }
  return heard.slice(2000, 20000);
}"""


def test_a_key_is_asked_for_once_and_kept_for_the_tab(guarded_service, open_page, shoot):
    address, key = guarded_service
    page = open_page(address, expect=("401",))
    page.get_by_role("button", name="Try it with a sample").click()
    dialog = page.get_by_role("dialog", name="A valid API key is needed")
    expect(dialog).to_be_visible()
    shoot(page, "key")
    dialog.get_by_label("API key").fill("cnt_wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("The key is not known here")
    dialog.get_by_label("API key").fill(key)
    dialog.get_by_role("button", name="Use the key").click()
    expect(page.get_by_role("heading", name="One face")).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    page.get_by_role("link", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera [data-part=status]")).to_have_text("Following")
    page.get_by_role("button", name="Forget key").click()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_socket_asks_for_a_key_too(guarded_service, open_page):
    address, key = guarded_service
    page = open_page(address, "camera")
    page.get_by_role("button", name="Start the camera").click()
    page.get_by_label("API key", exact=True).fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#camera [data-part=status]")).to_have_text("Following")


def test_who_has_no_key_may_say_so(guarded_service, open_page):
    page = open_page(guarded_service[0], expect=("401",))
    page.get_by_role("button", name="Try it with a sample").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("A valid API key is needed")


def test_everything_can_be_reached_by_the_keyboard(service, open_page):
    page = open_page(service, view="")
    names = []
    for _ in range(9):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate("document.activeElement.innerText || document.activeElement.type")
        )
    assert names[0] == "Skip to the content"
    assert [name for name in names if name in {"Photo", "Camera", "Affect"}] == [
        "Photo",
        "Camera",
        "Affect",
    ]
    assert "file" in names
    page.get_by_role("button", name="Try it with a sample").press("Enter")
    expect(page.get_by_role("heading", name="One face")).to_be_visible()
    chip = page.get_by_role("checkbox", name="Pose")
    chip.press("Space")
    expect(chip).not_to_be_checked()


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_fits_a_phone(service, open_page, view, shoot):
    page = open_page(service, view, viewport=PHONE, device_scale_factor=2, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    shoot(page, f"phone-{view}-empty")
    if view == "photo":
        page.get_by_role("button", name="Try it with a sample").click()
        expect(page.get_by_role("heading", name="One face")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        shoot(page, "phone-photo")


def test_a_dark_system_gets_a_dark_page(service, open_page, shoot):
    page = open_page(service, color_scheme="dark")
    page.get_by_role("button", name="Try it with a sample").click()
    expect(page.get_by_role("heading", name="One face")).to_be_visible()
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert max(int(value) for value in ground[4:-1].split(",")) < 40
    shoot(page, "photo-dark")


def test_nothing_is_asked_of_anybody_else(service, open_page):
    page = open_page(service)
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.reload()
    for view in VIEWS:
        page.goto(f"{service}/#{view}")
        expect(page.locator(f"#{view}")).to_be_visible()
    assert asked == {urlsplit(service).netloc}


def test_the_client_answers_in_order_and_goes_on_after_a_cut(service, open_page):
    page = open_page(service)
    replies = page.evaluate(TRACK, base64.b64encode(PORTRAIT.read_bytes()).decode())
    assert [reply["step"] for reply in replies] == [1, 2, 3]
    assert [reply["sequence"] for reply in replies] == [0, 1, 0]
    assert [reply["time_s"] for reply in replies] == [0, 0.04, 0.08]


def test_resampled_sound_keeps_what_fits_and_leaves_out_what_would_fold(service, open_page):
    page = open_page(service)
    for hertz, loudest in ((440, 1.0), (5000, 1.0), (14000, 0.0)):
        heard = page.evaluate(RESAMPLE, [hertz])
        assert max(heard) == pytest.approx(loudest, abs=0.03), hertz
        if loudest:
            crossings = sum(1 for a, b in zip(heard, heard[1:], strict=False) if a < 0 <= b)
            assert crossings / len(heard) * 22050 == pytest.approx(hertz, rel=0.01)
