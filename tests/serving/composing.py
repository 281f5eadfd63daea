"""Compose files as `docker compose` would see them: filled in, laid over each other."""

import re
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"(?<!\$)\$\{(\w+):-([^}]*)\}")
RESET = object()


class ComposeLoader(yaml.SafeLoader):
    """YAML with compose's own tag for what is to be taken away."""


ComposeLoader.add_constructor("!reset", lambda loader, node: RESET)


def load(path: Path, **variables: str) -> dict[str, Any]:
    """Read one file; variables that are not given have the defaults that it names."""
    content = fill_in(yaml.load(path.read_text(), ComposeLoader), variables)
    assert isinstance(content, dict)
    return content


def fill_in(value: Any, variables: dict[str, str]) -> Any:
    """Put variables into every text of a value, as compose does after it has read the YAML."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], value)
    if isinstance(value, list):
        return [fill_in(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: fill_in(item, variables) for key, item in value.items()}
    return value


def variables_of(path: Path) -> set[str]:
    """Names of the variables of a file."""
    return {found[1] for found in VARIABLE.finditer(path.read_text())}


def lay_over(base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The files as one: maps are merged, all else is replaced, what is reset is gone."""
    merged = dict(base)
    for key, value in other.items():
        if value is RESET:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = lay_over(base[key], value)
        else:
            merged[key] = value
    return merged


def script_of(service: dict[str, Any]) -> str:
    """The shell script that a service's command is, as the shell gets it."""
    assert service["command"][:2] == ["sh", "-euc"]
    return str(service["command"][2]).replace("$$", "$")
