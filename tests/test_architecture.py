"""The arrows of the design: who may import whom, read off the sources and not off running code.

A part is a module, or a folder with all in it; its own part it may always import. The service is a
pile of levels and imports downwards; in the handlers each part names those that it may import. A
new part needs a place in one of the two tables.
"""

import ast
import subprocess
import sys
import tomllib

import pytest

from tests.sources import (
    IMPORTS,
    OURS,
    PACKAGES,
    ROOT,
    SOURCES,
    Import,
    calls_on_import,
    imports_in,
    is_main_guard,
    reads_environment,
    within,
)

# The lowest comes first. A part imports what stands below its level, and nothing beside it.
SERVICE_LEVELS: tuple[set[str], ...] = (
    {"errors"},
    {"options", "schemas", "settings"},
    {"telemetry"},
    {"keys"},
    {"security"},
    {"http", "inference", "media", "openface", "sessions"},
    {"services"},
    {"live"},
    {"clips"},
    {"align"},
    {"affect", "track"},
    {"operations", "page"},
    {"app"},
    {"server"},
    {"client"},
    {"commands"},
    {"cli"},
    {"__main__"},
)

LOWER_HANDLERS = {"checkpoint", "engines", "networks", "predictors", "processing", "store"}
HANDLER_ARROWS: dict[str, set[str]] = {
    # Tensors in, tensors out; arrays in, arrays out; files, states, messages.
    "networks": set(),
    "processing": set(),
    "checkpoint": set(),
    "wire": set(),
    # Compute the networks of a checkpoint, for whoever asks with arrays.
    "engines": {"checkpoint", "networks"},
    # Predictors join networks, which are handed in behind an engine, with processing.
    "predictors": {"engines", "networks", "processing"},
    # Hands the networks of checkpoints to predictors.
    "store": {"checkpoint", "engines", "networks", "predictors", "processing"},
    # Handlers speak bytes.
    "base": {"engines", "wire"},
    "row_checks": {"base", "predictors", "processing"},
    "attributes": {"predictors", "processing", "store"},
    "align": {"attributes", "base", "row_checks", "wire"} | LOWER_HANDLERS,
    "track": {"attributes", "base", "row_checks", "wire"} | LOWER_HANDLERS,
    "affect": {"attributes", "base", "row_checks", "track", "wire"} | LOWER_HANDLERS,
    # TorchServe's way to start, load and ask handlers; only the adaptor loads one, by its name.
    "torchserve": {"base", "engines", "processing", "wire"},
    # Learning and measuring use what is served; readers of data sets serve both.
    "training": LOWER_HANDLERS,
    "evaluation": {
        "align",
        "row_checks",
        "training.affect.made",
        "training.affect.voices",
        "training.align",
        "training.datasets",
        "training.synthetic",
    }
    | LOWER_HANDLERS,
    "convert": {"checkpoint", "networks"},
}

# Where the service may import handlers and torch, and only inside functions.
LAZY_BRIDGES = (
    "service.inference.loading",
    "service.inference.local",
    "service.cli",
    "service.commands",
)

# What handlers must not know of: the side of HTTP, sessions and people.
FOREIGN_TO_HANDLERS = {"aiohttp", "fastapi", "httpx", "redis", "starlette", "typer", "uvicorn"}

# Import names of distributions that are called otherwise, and what comes with another one for sure.
IMPORT_NAMES = {
    "opentelemetry-api": {"opentelemetry"},
    "pillow": {"PIL"},
    "python-multipart": {"multipart", "python_multipart"},
}
COMES_WITH = {"fastapi": {"starlette", "anyio"}, "typer": {"click"}, "uvicorn": {"h11"}}

# The one reader of the environment, and who hands parts of it on to a process of others.
ENVIRONMENT_READERS = {"service.settings", "handlers.torchserve.starting"}

# Calls that change the process for everybody; nothing may do them on import.
PROCESS_WIDE = {
    "basicConfig",
    "manual_seed",
    "seed",
    "set_default_device",
    "set_default_dtype",
    "set_num_interop_threads",
    "set_num_threads",
    "setNumThreads",
    "simplefilter",
}


def arrows() -> dict[str, set[str]]:
    """Both tables as one: each part with all that it may import, by full name."""
    found: dict[str, set[str]] = {}
    below: set[str] = set()
    for level in SERVICE_LEVELS:
        found |= {f"service.{part}": set(below) for part in level}
        below |= {f"service.{part}" for part in level}
    for part, allowed in HANDLER_ARROWS.items():
        found[f"handlers.{part}"] = {f"handlers.{other}" for other in allowed}
    return found


ARROWS = arrows()


def part_of(module: str) -> str | None:
    """The longest part of the table that holds the module."""
    return max((part for part in ARROWS if within(module, part)), key=len, default=None)


def crosses(found: Import) -> bool:
    return found.importer.split(".")[0] != found.target.split(".")[0]


def is_allowed(found: Import) -> bool:
    part = part_of(found.importer)
    if part is None:
        return False
    return any(within(found.target, other) for other in {part, *ARROWS[part]})


def is_lazy_bridge(found: Import) -> bool:
    from_bridge = any(within(found.importer, bridge) for bridge in LAZY_BRIDGES)
    return from_bridge and found.lazy and found.target.split(".")[0] in {"handlers", "torch"}


def networks_built(tree: ast.Module) -> set[str]:
    """The classes of networks that a module makes; naming them as types is another matter."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and within(node.module or "", "handlers.networks")
        for alias in node.names
    }
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {name for name in imported & called if name[0].isupper()}


def core_dependencies() -> set[str]:
    """Import names of what the distribution needs without any extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names: set[str] = set()
    for requirement in project["dependencies"]:
        distribution = requirement.split(">")[0].split("[")[0].strip()
        names |= IMPORT_NAMES.get(distribution, {distribution.replace("-", "_")})
        names |= COMES_WITH.get(distribution, set())
    return names


def test_every_module_has_its_place_in_the_table() -> None:
    packages = set(PACKAGES)
    homeless = [name for name in SOURCES if part_of(name) is None and name not in packages]
    assert not homeless, "place these in SERVICE_LEVELS or HANDLER_ARROWS"


def test_imports_follow_the_arrows() -> None:
    wrong = [str(found) for found in OURS if not crosses(found) and not is_allowed(found)]
    assert not wrong


def test_service_and_handlers_meet_only_at_the_lazy_bridges() -> None:
    wrong = [str(found) for found in OURS if crosses(found) and not is_lazy_bridge(found)]
    assert not wrong


def test_handlers_know_nothing_of_http_and_sessions() -> None:
    in_handlers = [found for found in IMPORTS if within(found.importer, "handlers")]
    wrong = [str(f) for f in in_handlers if f.target.split(".")[0] in FOREIGN_TO_HANDLERS]
    assert not wrong


def test_the_service_imports_only_what_installs_without_torch() -> None:
    known = core_dependencies() | set(sys.stdlib_module_names) | set(PACKAGES)
    in_service = [found for found in IMPORTS if within(found.importer, "service")]
    unknown = [found for found in in_service if found.target.split(".")[0] not in known]
    wrong = [str(found) for found in unknown if not is_lazy_bridge(found)]
    assert not wrong, "either a dependency is missing in pyproject.toml, or it does not belong here"


def test_the_service_can_be_imported_where_the_libraries_of_the_networks_are_missing() -> None:
    missing = ["handlers", "cv2", "numpy", "safetensors", "torch"]
    modules = [name for name in SOURCES if within(name, "service") and name != "service.__main__"]
    program = (
        f"import importlib, sys\nsys.modules.update(dict.fromkeys({missing}))\n"
        f"for name in {modules}: importlib.import_module(name)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_serving_on_a_processor_installs_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["models"]]
    assert not any(name.startswith("torch") for name in needed)
    assert any(name.startswith("torch>") for name in extras["gpu"])
    for extra in ("torchserve", "train"):
        assert "countenance[gpu]" in extras[extra]


def test_only_the_settings_read_the_environment() -> None:
    readers = {name for name, tree in SOURCES.items() if reads_environment(tree)}
    assert readers <= ENVIRONMENT_READERS


@pytest.mark.parametrize("name", SOURCES)
def test_importing_a_module_changes_nothing_for_others(name: str) -> None:
    body = [node for node in SOURCES[name].body if not is_main_guard(node)]
    called = [
        call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
        for call in calls_on_import(ast.Module(body, []))
    ]
    assert PROCESS_WIDE.isdisjoint(called)


def test_predictors_build_no_network_but_take_what_they_are_handed() -> None:
    predictors = [name for name in SOURCES if within(name, "handlers.predictors")]
    built = {name: networks_built(SOURCES[name]) for name in predictors}
    wrong = {name: classes for name, classes in built.items() if classes}
    assert not wrong, "build networks in handlers.store and hand them in"


def test_the_checks_see_what_they_are_there_for() -> None:
    source = (
        "import torch\n"
        "from handlers.networks import senet\n"
        "def load():\n    import handlers.align\n"
        "def run():\n    from ..processing import boxes\n"
    )
    found = list(imports_in(ast.parse(source), "handlers.predictors.sample"))
    assert [f.target for f in found[1:]] == [
        "handlers.networks.senet",
        "handlers.align",
        "handlers.processing.boxes",
    ]
    assert [f.lazy for f in found] == [False, False, True, True]
    assert [is_allowed(f) for f in found[1:]] == [True, False, True]
    assert is_lazy_bridge(Import("service.cli", "handlers.align", 1, lazy=True))
    assert not is_lazy_bridge(Import("service.cli", "handlers", 1, lazy=False))
    assert not is_allowed(Import("service.settings", "service.align.route", 1, lazy=False))
