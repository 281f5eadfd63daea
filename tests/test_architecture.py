"""The arrows of the design: who may import whom, read off the sources and not off running code.

ARROWS is the table. The left side is a part: a module or a folder with all in it. The right side
names the parts that it may import; its own part it may always import. A new part needs a new line.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("service", "handlers")

ARROWS: dict[str, set[str]] = {
    # Tensors in, tensors out; arrays in, arrays out; state: these stand on nothing of ours.
    "handlers.networks": set(),
    "handlers.processing": set(),
    "handlers.state": set(),
    "handlers.checkpoint": set(),
    "handlers.wire": set(),
    "handlers.base": {"handlers.wire"},
    # Predictors join networks, which are handed in, with processing.
    "handlers.predictors": {"handlers.processing"},
    # Handlers build the networks from checkpoints, hand them to predictors, and speak bytes.
    "handlers.align": {
        "handlers.base",
        "handlers.checkpoint",
        "handlers.networks",
        "handlers.predictors",
        "handlers.processing",
        "handlers.state",
        "handlers.wire",
    },
    "handlers.training": {
        "handlers.checkpoint",
        "handlers.networks",
        "handlers.predictors",
        "handlers.processing",
    },
    "handlers.evaluation": {
        "handlers.checkpoint",
        "handlers.networks",
        "handlers.predictors",
        "handlers.processing",
        "handlers.training.datasets",
    },
    "handlers.tools": {
        "handlers.checkpoint",
        "handlers.networks",
        "handlers.predictors",
        "handlers.processing",
    },
}

# What a part may import for annotations alone, under `if TYPE_CHECKING`.
TYPE_ARROWS: dict[str, set[str]] = {"handlers.predictors": {"handlers.networks"}}

# The two places of the service that may import handlers, and only inside functions.
LAZY_BRIDGES = ("service.inference.local", "service.cli", "service.commands")

# What handlers must not know of: the side of HTTP, sessions and people.
FOREIGN_TO_HANDLERS = {"aiohttp", "fastapi", "httpx", "redis", "starlette", "typer", "uvicorn"}

# Import names of distributions that are called otherwise, and what comes with another one for sure.
IMPORT_NAMES = {"pillow": {"PIL"}, "python-multipart": {"multipart", "python_multipart"}}
COMES_WITH = {"fastapi": {"starlette", "anyio"}, "typer": {"click"}}

# The one reader of the environment.
ENVIRONMENT_READER = "service.settings"

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


@dataclass(frozen=True)
class Import:
    """One imported module: who imports it, where, at the module's top or inside a function."""

    importer: str
    target: str
    line: int
    lazy: bool
    types_only: bool

    def __str__(self) -> str:
        return f"{self.importer} line {self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): ast.parse(path.read_text(encoding="utf-8"), str(path))
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def part_of(module: str) -> str | None:
    """The longest part of the table that holds the module."""
    return max((part for part in ARROWS if within(module, part)), key=len, default=None)


def mentions_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def targets(node: ast.Import | ast.ImportFrom, importer: str) -> list[str]:
    """The modules that one statement imports, as absolute names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        is_package = (ROOT / importer.replace(".", "/") / "__init__.py").exists()
        keep = importer.split(".")
        keep = keep[: len(keep) - node.level + is_package]
        base = ".".join([*keep, base] if base else keep)
    submodules = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in SOURCES else base for name in submodules]


def imports_in(
    node: ast.AST, importer: str, lazy: bool = False, types_only: bool = False
) -> Iterator[Import]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for target in targets(node, importer):
            yield Import(importer, target, node.lineno, lazy, types_only)
        return
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    types_only = types_only or mentions_type_checking(node)
    for child in ast.iter_child_nodes(node):
        yield from imports_in(child, importer, lazy, types_only)


IMPORTS = [found for name, tree in SOURCES.items() for found in imports_in(tree, name)]
OURS = [found for found in IMPORTS if found.target.split(".")[0] in PACKAGES]


def crosses(found: Import) -> bool:
    return found.importer.split(".")[0] != found.target.split(".")[0]


def is_allowed(found: Import) -> bool:
    part = part_of(found.importer)
    if part is None:
        return False
    allowed = ARROWS[part] | (TYPE_ARROWS.get(part, set()) if found.types_only else set())
    return any(within(found.target, other) for other in {part, *allowed})


def is_lazy_bridge(found: Import) -> bool:
    from_bridge = any(within(found.importer, bridge) for bridge in LAZY_BRIDGES)
    return from_bridge and found.lazy and within(found.target, "handlers")


def calls_on_import(node: ast.AST) -> Iterator[ast.Call]:
    """Every call that runs when the module is imported: those outside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from calls_on_import(child)


def reads_environment(tree: ast.Module) -> bool:
    """Whether `os.environ` or a sister of it is used, by whatever way it was imported."""
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    return not used.isdisjoint({"environ", "environb", "getenv"})


def is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)


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
    assert not homeless, "name these in ARROWS, with what they may import"


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
    wrong = [str(found) for found in in_service if found.target.split(".")[0] not in known]
    assert not wrong, "either a dependency is missing in pyproject.toml, or it does not belong here"


def test_only_the_settings_read_the_environment() -> None:
    readers = {name for name, tree in SOURCES.items() if reads_environment(tree)}
    assert readers <= {ENVIRONMENT_READER}


@pytest.mark.parametrize("name", SOURCES)
def test_importing_a_module_changes_nothing_for_others(name: str) -> None:
    body = [node for node in SOURCES[name].body if not is_main_guard(node)]
    called = [
        call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
        for call in calls_on_import(ast.Module(body, []))
    ]
    assert PROCESS_WIDE.isdisjoint(called)


def test_the_check_sees_each_kind_of_import() -> None:
    source = (
        "import torch\n"
        "if TYPE_CHECKING:\n    from handlers.networks import senet\n"
        "def load():\n    import handlers.align\n"
    )
    found = list(imports_in(ast.parse(source), "handlers.predictors.sample"))
    assert [(f.lazy, f.types_only) for f in found] == [(False, False), (False, True), (True, False)]
    assert [is_allowed(f) for f in found[1:]] == [True, False]
    assert is_lazy_bridge(Import("service.cli", "handlers.align", 1, lazy=True, types_only=False))
    assert not is_lazy_bridge(Import("service.cli", "handlers", 1, lazy=False, types_only=False))
