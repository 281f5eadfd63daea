"""How the process of the align handler grows with the largest pictures that are taken."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.handlers.align_fakes import ROOT, STORE
from tests.made_clips import portrait

MOST_MB = 450  # of SECURITY.md's 500: the rest is what other requests take meanwhile
SIDE = (8160, 6120)
MEASURE = """
import re, sys
from pathlib import Path
from typing import Any
from handlers.align import AlignHandler
from handlers.engines.choice import choose
from handlers.wire import pack, unpack

def memory_mb(name):
    found = re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000

def ask(picture):
    row = pack({"inputs": {"image": picture}, "options": {"min_face_px": 20}})
    return unpack(handler.handle([row])[0])["outputs"]

choose(1)
handler = AlignHandler(Path(sys.argv[1]))
small, large = (Path(one).read_bytes() for one in sys.argv[2:])
ask(small)
before = memory_mb("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
ask(large)
print(memory_mb("VmHWM") - before, memory_mb("VmRSS") - before)
"""


def crowd() -> Pillow.Image:
    """Faces of any roll all over a large picture."""
    whole = np.full((SIDE[1], SIDE[0], 3), 90, np.uint8)
    face = portrait(300, 300)
    for number in range(64):
        top, left = 100 + 740 * (number // 8), 100 + 1000 * (number % 8)
        whole[top : top + 300, left : left + 300] = np.rot90(face, number)
    return Pillow.fromarray(whole)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak from /proc")
@pytest.mark.skipif(not (STORE / "dfa").is_dir(), reason="model_store/dfa holds no weights yet")
@pytest.mark.parametrize("name", ["black", "crowd", "transparent", "turned"])
def test_the_largest_picture_takes_less_than_500_mib(name: str, tmp_path: Path) -> None:
    turned = Pillow.Exif()
    turned[0x112] = 6
    options: dict[str, dict[str, Any]] = {
        "turned": {"exif": turned},
        "transparent": {"lossless": True, "method": 0},
    }
    made = {"crowd": crowd, "transparent": lambda: Pillow.new("RGBA", SIDE, (90, 80, 70, 60))}
    picture = made.get(name, lambda: Pillow.new("RGB", SIDE))()
    format = "WEBP" if name == "transparent" else "JPEG"
    picture.save(tmp_path / "large", format, **options.get(name, {}))
    Pillow.fromarray(portrait()).save(tmp_path / "small", "JPEG")
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, STORE, tmp_path / "small", tmp_path / "large"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    peak_mb, kept_mb = (float(word) for word in answer.stdout.split())
    assert peak_mb < MOST_MB
    assert kept_mb < 100
