"""An engine of plain functions, for predictors whose networks are told what to say."""

from collections.abc import Callable, Mapping

from handlers.engines.base import Array, Input

Function = Callable[..., Mapping[str, Array]]


class FunctionEngine:
    """Each part is a function of arrays."""

    name = "functions"

    def __init__(self, is_parallel: bool = False, **parts: Function) -> None:
        self.parts, self.is_parallel = parts, is_parallel

    def inputs(self, part: str) -> Mapping[str, Input]:
        raise NotImplementedError(part)

    def run(self, part: str, **inputs: Array) -> dict[str, Array]:
        return dict(self.parts[part](**inputs))

    def prepare(self) -> None:
        """There is nothing to load."""
