"""The page in Firefox, where one is installed: the three doors, without a complaint."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import DESKTOP
from tests.browser.firefox import PROGRAM, Firefox, running
from tests.browser.test_photo import DRAWN

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="needs Firefox: apt-get install firefox-esr"
)


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """Where screenshots go."""
    folder = Path(request.config.getoption("--screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    with running(tmp_path) as firefox:
        yield firefox
        assert not firefox.complaints


def text(view: str, part: str) -> str:
    return f"document.querySelector('#{view} [data-part={part}]').textContent"


def press(firefox: Firefox, view: str, part: str) -> None:
    firefox.run(f"document.querySelector('#{view} [data-part={part}]').click()")


def test_the_three_doors_answer_in_firefox(affect_service, firefox, media, folder):
    firefox.open(affect_service, **DESKTOP)
    firefox.until("document.querySelector('#service-state').dataset.state === 'ready'")
    press(firefox, "photo", "sample")
    firefox.until(f"{text('photo', 'count')} === 'One face'")
    assert firefox.run(f"({DRAWN})(document.querySelector('#photo [data-part=overlay]'))") > 500

    (folder / "firefox-photo.png").write_bytes(firefox.picture())
    firefox.run("location.hash = 'camera'")
    press(firefox, "camera", "start")
    firefox.until(f"Number({text('camera', 'step')}) >= 3")
    press(firefox, "camera", "stop")
    press(firefox, "camera", "sample")
    firefox.until(f"{text('camera', 'status')} === 'Following'")
    (folder / "firefox-camera.png").write_bytes(firefox.picture())
    press(firefox, "camera", "stop")

    firefox.run("location.hash = 'affect'")
    firefox.choose("#affect input[type=file]", media / "clip.webm")
    firefox.until(f"{text('affect', 'status')}.includes('Done')")
    assert float(firefox.run(text("affect", "valence")).replace("−", "-")) <= 1
    (folder / "firefox-affect.png").write_bytes(firefox.picture())
