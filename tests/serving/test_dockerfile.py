"""The Dockerfile: nothing that hadolint objects to, and images as they are meant to be."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")


def stage(name: str) -> str:
    """The instructions of one stage."""
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say():
    run = subprocess.run([str(HADOLINT), str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", ["service", "models"])
def test_images_run_as_nobody_and_know_their_health(name):
    assert "USER 10001:10001" in stage(name)
    assert "HEALTHCHECK" in stage(name)


@pytest.mark.parametrize("name", ["service", "models"])
def test_the_last_stages_install_nothing_but_copy(name):
    assert "pip" not in stage(name)
    assert "apt" not in TEXT


@pytest.mark.parametrize("needs", ["service-needs", "models-needs"])
def test_versions_are_those_of_the_lock(needs):
    installs = [line for line in stage(needs).split("&&") if " install " in line]
    assert all("requirements.lock" in line for line in installs)


def test_what_is_copied_is_what_is_let_in():
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert names == let_in
    assert all((ROOT / name).exists() for name in names)
