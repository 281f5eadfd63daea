"""Networks computed by torch: on GPUs, in training, and to write graphs from."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from handlers.checkpoint import Checkpoint, CheckpointError
from handlers.engines.base import Array, Input, padded
from handlers.engines.choice import CPU, CUDA, chosen
from handlers.engines.gpu import CapturedParts, Slot, join, pack, unpack
from handlers.engines.parts import Part, kind_of
from handlers.networks.layers import fuse


class TorchEngine:
    """A module and the parts of it that are called, on a device.

    On another device than the CPU the arrays of a call go there and back in one piece each way,
    and batches are padded.
    """

    name = "torch"
    is_parallel = False

    def __init__(self, network: nn.Module, parts: Mapping[str, Part], device: str = CPU) -> None:
        """Move the module to the device, for inference."""
        network = network.to(device).eval().requires_grad_(False)
        # Three times as fast on a CPU; a keyword that PyTorch's own types lack.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.device = network, torch.device(device)
        self._is_away = self.device.type != CPU
        self.parts = {n: part for n, part in parts.items() if self._is_away or not part.is_whole}
        captures = chosen.cuda_graphs and self.device.type == CUDA
        self._captured = CapturedParts(self._compute) if captures else None

    def inputs(self, part: str) -> Mapping[str, Input]:
        """Return them as the table of parts has them."""
        return self.parts[part].inputs

    def run(self, part: str, **inputs: Array) -> dict[str, Array]:
        """Compute a part; answers come in single precision whatever it was computed in."""
        asked = self.parts[part]
        # torch warns of arrays that it could not write to.
        given = [np.require(inputs[name], requirements=["C", "W"]) for name in asked.inputs]
        with torch.inference_mode():
            fetched = self._run_away(part, given) if self._is_away else self._run_here(asked, given)
        return dict(zip(asked.outputs, fetched, strict=True))

    def prepare(self) -> None:
        """Load a module as a whole."""

    def _run_here(self, asked: Part, given: Sequence[Array]) -> list[Array]:
        answers = asked.forward(self.network, *(_laid(torch.from_numpy(one)) for one in given))
        return [_single(one).contiguous().numpy() for one in answers]

    def _run_away(self, part: str, given: Sequence[Array]) -> list[Array]:
        rows = len(given[0])
        free = any(size is None for one in self.inputs(part).values() for size in one.shape)
        # What comes in any size is planned for anew anyway, and is too large to be padded.
        width = rows if free else padded(rows)
        buffer, slots = pack(given, width, pinned=self.device.type == CUDA)
        if self._captured is not None and not free:
            answered, places = self._captured.run(part, width, buffer, slots, self.device)
        else:
            answered, places = self._compute(part, buffer.to(self.device, non_blocking=True), slots)
            answered = answered.cpu()
        return [one[:rows].numpy() for one in unpack(answered, places)]

    def _compute(
        self, part: str, buffer: Tensor, slots: Sequence[Slot]
    ) -> tuple[Tensor, list[Slot]]:
        """Compute a part of a packed call on the device; return its packed answers there."""
        given = [_laid(one) for one in unpack(buffer, slots)]
        return join([_single(one) for one in self.parts[part].forward(self.network, *given)])


def _laid(tensor: Tensor) -> Tensor:
    """Lay pictures out with their channels last, as the networks compute them."""
    is_picture = tensor.ndim == 4 and tensor.is_floating_point()
    layout = torch.channels_last if is_picture else torch.contiguous_format
    return tensor.contiguous(memory_format=layout)


def load_torch_engine(checkpoint: Checkpoint, device: str = CPU) -> TorchEngine:
    """Load the networks of a checkpoint, ready to serve. Raises CheckpointError."""
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    network, parts = build_network(checkpoint)
    return TorchEngine(fuse(network), parts, device)


def build_network(checkpoint: Checkpoint) -> tuple[nn.Module, dict[str, Part]]:
    """Build the module of a checkpoint in single precision with its weights, and its parts.

    Raises CheckpointError for a checkpoint that is of no kind, or whose weights do not fit.
    """
    kind = kind_of(checkpoint.config)
    if kind is None:
        raise CheckpointError(f"the configuration of {checkpoint.name!r} names no network")
    try:
        network = kind.build(checkpoint.config).eval()
        network.load_state_dict({name: _single(one) for name, one in checkpoint.tensors.items()})
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"the weights of {checkpoint.name!r} do not fit its configuration: {error}"
        ) from error
    return network, kind.parts(network)


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
