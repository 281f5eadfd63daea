"""A device that is none: its tensors compute on the CPU, but none may meet the CPU's own.

Networks for a GPU are tested with it where there is no GPU. What torch refuses there is refused
here: an operation on tensors of both sides, and NumPy's reading of a tensor that was not fetched
with `.cpu()`. Its name is `meta`, the one device besides the CPU that every torch knows.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

FAR = "meta"
_torch_autocast = torch.autocast
# What makes a processor wait until a GPU has come as far: a number that is asked for.
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")
COPIES = ("aten::copy_", "aten::_to_copy", "aten::to")
# Their indices may lie on the CPU; a tensor of the CPU takes none of another device.
INDEXED = ("aten::index", "aten::index_put_", "aten::index_put")


@dataclass
class Traffic:
    """What went to the far device and came back, in numbers of copies, and how often somebody
    waited for it."""

    sent: int = 0
    fetched: int = 0
    waited: int = 0


traffic = Traffic()


@contextmanager
def counted() -> Iterator[Traffic]:
    """The traffic of what is done inside."""
    before = replace(traffic)
    found = Traffic()
    yield found
    found.sent = traffic.sent - before.sent
    found.fetched = traffic.fetched - before.fetched
    found.waited = traffic.waited - before.waited


class FarTensor(torch.Tensor):
    """A tensor on the far device; `near` holds its values."""

    near: torch.Tensor

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> "FarTensor":
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            near.shape,
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=FAR,
        )
        made.near = near
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        """The values, fetched, as a GPU's tensor gives them too."""
        return self.near.tolist()

    def __repr__(self, **_: Any) -> str:
        return f"far {self.near!r}"


class _Watch(TorchDispatchMode):
    """Sees what no far tensor takes part in: tensors that are made or sent there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Makers(TorchFunctionMode):
    """Makes with values what torch would make without for its own `meta`: tensors from lists."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor and torch.device(kwargs.pop("device", None) or "cpu").type == FAR:
            return func(*args, **kwargs).to(FAR)
        indexes = func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__)
        if indexes and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]), *args[2:])
        return func(*args, **kwargs)


@contextmanager
def far_device() -> Iterator[str]:
    """The device's name, while it is there; for this thread."""
    with _Watch(), _Makers(), patch.object(torch, "autocast", _autocast):
        yield FAR


def _autocast(kind: str, **options: Any) -> AbstractContextManager[object]:
    """Single precision there; torch knows no other for its own `meta`."""
    return nullcontext() if kind == FAR else _torch_autocast(kind, **options)


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    values = tree_flatten((args, kwargs))[0]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    far = [tensor for tensor in tensors if isinstance(tensor, FarTensor)]
    asked = [value.type == FAR for value in values if isinstance(value, torch.device)]
    _refuse_mixture(func, tensors, args)
    _count(func, args, asked, bool(far))
    found = func(*tree_map(_near, args), **tree_map(_near, kwargs))
    if func._schema.name == "aten::copy_":
        goes_far = isinstance(args[0], FarTensor)
    else:
        goes_far = asked[0] if asked else bool(far)
    return tree_map(_returning({id(one.near): one for one in far}), found) if goes_far else found


def _count(func: Any, args: Any, asked: list[bool], has_far: bool) -> None:
    """Note a copy between the sides, or a number that is waited for."""
    name = func._schema.name
    traffic.waited += has_far and name in WAITS
    if name not in COPIES:
        return
    comes_from, goes_to = (args[1], args[0]) if name == "aten::copy_" else (args[0], None)
    from_far = isinstance(comes_from, FarTensor)
    to_far = isinstance(goes_to, FarTensor) if goes_to is not None else any(asked or [from_far])
    traffic.sent += to_far and not from_far
    traffic.fetched += from_far and not to_far


def _refuse_mixture(func: Any, tensors: list[torch.Tensor], args: Any) -> None:
    if any(one.device.type == FAR and not isinstance(one, FarTensor) for one in tensors):
        raise RuntimeError(f"{func} is given a tensor without values")
    name = func._schema.name
    if name in COPIES:
        return
    if name in INDEXED and isinstance(args[0], FarTensor):
        # What is written counts as every operand does; indices of either side are taken.
        tensors = [args[0], *tree_flatten(args[2:])[0]]
    sides = {isinstance(one, FarTensor) for one in _operands(tensors)}
    if len(sides) > 1:
        raise RuntimeError(f"{func} is given tensors of two devices")


def _operands(values: list[Any]) -> list[torch.Tensor]:
    """The tensors that must share a device; a number of the CPU without dimensions need not."""
    tensors = [one for one in values if isinstance(one, torch.Tensor)]
    return [one for one in tensors if isinstance(one, FarTensor) or one.dim() > 0]


def _near(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.near if isinstance(value, FarTensor) else value


def _returning(known: dict[int, FarTensor]) -> Callable[[Any], Any]:
    def far(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return known[id(value)] if id(value) in known else FarTensor(value)

    return far
