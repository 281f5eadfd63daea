"""What README and documents point at is there, pages say first what they hold, examples run."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.footage import PORTRAIT, write_clip
from tests.needs import NODE, NODE_20
from tests.serving.deployment import ServiceProcess
from tests.sources import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
CARDS = sorted((ROOT / "model_store").glob("*/README.md"))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as forges make them."""
    words = (heading.lower() for heading in HEADING.findall(page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in words}


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_page_says_in_its_first_words_what_it_holds(page: Path) -> None:
    title, blank, first, *_ = page.read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert blank == ""
    assert first[:1].isalpha(), "a sentence, not a table or a picture"


def test_readme_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for link in LINK.findall((ROOT / "README.md").read_text())}
    missing = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - linked
    assert not missing


def run(code: str, folder: Path) -> str:
    """Run a program in a folder of its own, without a screen; return what it writes."""
    (folder / "program.py").write_text(code, encoding="utf-8")
    calm = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, **calm},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_python_of_the_readme_runs_from_another_folder(tmp_path: Path) -> None:
    blocks = re.findall(r"(?:^    .*\n|^\n)+", (ROOT / "README.md").read_text(), re.MULTILINE)
    (code,) = (block for block in blocks if "import Countenance" in block)
    (tmp_path / "photo.jpg").write_bytes(PORTRAIT.read_bytes())
    told = run("\n".join(line[4:] for line in code.splitlines()), tmp_path)
    assert "pitch_deg" in told


@pytest.mark.slow
@NODE_20.mark
def test_the_javascript_of_the_documents_runs_on_node(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "live-protocol.md").read_text()
    (code,) = re.findall(r"^```js\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    service = ServiceProcess({"COUNTENANCE_DEVICE": "cpu"})
    try:
        service.wait_until_ready()
        (tmp_path / "node_modules").mkdir()
        (tmp_path / "node_modules" / "countenance-client").symlink_to(ROOT)
        (tmp_path / "program.mjs").write_text(code.replace("http://localhost:8000", service.base))
        (tmp_path / "photo.jpg").write_bytes(PORTRAIT.read_bytes())
        program = [str(NODE), "--preserve-symlinks", "program.mjs"]
        done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    finally:
        service.kill(signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    assert "pitch_deg" in done.stdout


@pytest.mark.slow
def test_the_notebook_leads_from_clips_to_a_plot_and_a_table(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "one.webm")
    (tmp_path / "clips" / "notes.txt").write_text("no clip")
    notebook = json.loads((ROOT / "docs" / "examples" / "group.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert "notes.txt is left out" in run("\n".join(cells), tmp_path)
    assert (tmp_path / "group.png").stat().st_size > 10_000
    header, row = (tmp_path / "group.csv").read_text().splitlines()
    assert header.startswith("clip,frames,")
    assert row.startswith("one.webm,60,")
