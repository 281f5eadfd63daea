"""Networks computed by torch: on GPUs, in training, and to write graphs from."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from handlers.checkpoint import Checkpoint, CheckpointError
from handlers.engines.base import Array, Input
from handlers.engines.choice import chosen
from handlers.engines.parts import Part, kind_of
from handlers.networks.fuse import fuse


class TorchEngine:
    """A module and the parts of it that are called, on a device."""

    name = "torch"

    def __init__(self, network: nn.Module, parts: Mapping[str, Part], device: str = "cpu") -> None:
        """Move the module to the device, for inference."""
        network = network.to(device).eval().requires_grad_(False)
        # Three times as fast on a CPU; a keyword that PyTorch's own types lack.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.parts, self.device = network, parts, torch.device(device)

    def inputs(self, part: str) -> Mapping[str, Input]:
        """Return them as the table of parts has them."""
        return self.parts[part].inputs

    def run(self, part: str, **inputs: Array) -> dict[str, Array]:
        """Compute a part; answers come in single precision whatever it was computed in."""
        asked = self.parts[part]
        with torch.inference_mode():
            answers = asked.forward(self.network, *(self._send(inputs[n]) for n in asked.inputs))
            fetched = [_fetch(answer) for answer in answers]
        return dict(zip(asked.outputs, fetched, strict=True))

    def prepare(self) -> None:
        """A module is loaded as a whole."""

    def _send(self, array: Array) -> Tensor:
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self.device)
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        return tensor.contiguous(memory_format=layout)


def _fetch(tensor: Tensor) -> Array:
    tensor = tensor.float() if tensor.is_floating_point() else tensor
    return tensor.contiguous().cpu().numpy()


def load_torch_engine(checkpoint: Checkpoint, device: str = "cpu") -> TorchEngine:
    """The networks of a checkpoint, ready to serve. Raises CheckpointError."""
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    network, parts = build_network(checkpoint)
    return TorchEngine(fuse(network), parts, device)


def build_network(checkpoint: Checkpoint) -> tuple[nn.Module, dict[str, Part]]:
    """The module of a checkpoint in single precision with its weights, and its parts.

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
