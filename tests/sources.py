"""The sources of the packages as syntax trees, and what can be read off them without running."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("service", "handlers")


@dataclass(frozen=True)
class Import:
    """One imported module: who imports it, where, at the module's top or inside a function."""

    importer: str
    target: str
    line: int
    lazy: bool

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


def imports_in(node: ast.AST, importer: str, lazy: bool = False) -> Iterator[Import]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for target in targets(node, importer):
            yield Import(importer, target, node.lineno, lazy)
        return
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from imports_in(child, importer, lazy)


IMPORTS = [found for name, tree in SOURCES.items() for found in imports_in(tree, name)]
OURS = [found for found in IMPORTS if found.target.split(".")[0] in PACKAGES]


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
