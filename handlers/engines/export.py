"""The parts of a stored model to ONNX graphs beside its weights.

A graph holds no weights but says where in `weights.safetensors` each lies, under the name that it
has there, so any reader of ONNX can load it from the model's folder. Nothing is folded: the reader
does that. What keeps ONNX Runtime from its fastest kernels is spelled otherwise: zeros that the
exporter adds as biases, behind which normalisations stay unfused, and PReLU.
"""

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from onnx import TensorProto, helper
from onnxscript import opset20 as op
from torch import Tensor, nn

from handlers.checkpoint import WEIGHTS_FILE, annotate, load_checkpoint
from handlers.engines.base import Input
from handlers.engines.card import write_section
from handlers.engines.choice import GRAPHS
from handlers.engines.onnx_engine import SUFFIX
from handlers.engines.parts import Part
from handlers.engines.torch_engine import build_network

ROWS, PREFIX = "rows", "network."
# Not 1: the exporter would take that for a constant.
EXAMPLE_ROWS, EXAMPLE_LENGTH = 3, 61
OPSET = 20
ONNX_TYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "I64": TensorProto.INT64}


class Place(NamedTuple):
    """The place of a tensor in a file of safetensors, in bytes, and its ONNX type."""

    type: int
    offset: int
    length: int


def export_model(folder: Path) -> list[str]:
    """Write the graphs of the model in `folder`, note them in its configuration and in its card.

    Raises CheckpointError for a folder that holds no model of ours.
    """
    checkpoint = load_checkpoint(folder)
    network, every = build_network(checkpoint)
    parts = {name: part for name, part in every.items() if not part.is_whole}
    places = read_places(folder / WEIGHTS_FILE)
    # Before the new ones: graphs of a part that is gone would stay.
    for stale in folder.glob(f"*{SUFFIX}"):
        stale.unlink()
    for name, part in parts.items():
        graph = make_graph(network, part, places)
        (folder / f"{name}{SUFFIX}").write_bytes(graph.SerializeToString(deterministic=True))
    write_section(folder)
    annotate(folder, **{GRAPHS: {"weights": checkpoint.sha256, "parts": sorted(parts)}})
    return sorted(parts)


def make_graph(network: nn.Module, part: Part, places: dict[str, Place]) -> onnx.ModelProto:
    """Write one part as a graph whose weights lie at `places`."""
    examples = tuple(_example(one) for one in part.inputs.values())
    free = tuple(
        {
            axis: torch.export.Dim.DYNAMIC
            for axis, size in enumerate((None, *one.shape))
            if size is None
        }
        for one in part.inputs.values()
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own exporter
        program = torch.onnx.export(
            _Function(network, part).eval(),
            examples,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes=(free,),
            opset_version=OPSET,
            dynamo=True,
            custom_translation_table={torch.ops.aten.prelu.default: _prelu},
            optimize=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _leave_out_zeros(model.graph)
    _point_at_weights(model.graph, places)
    _strip(model)
    return model


def read_places(path: Path) -> dict[str, Place]:
    """Read the places of all tensors in a file of safetensors."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    places = {}
    for name, one in header.items():
        begin, end = one["data_offsets"]
        places[name] = Place(ONNX_TYPES[one["dtype"]], 8 + length + begin, end - begin)
    return places


class _Function(nn.Module):
    """A part as a module of its own: exporters take nothing else."""

    def __init__(self, network: nn.Module, part: Part) -> None:
        super().__init__()
        self.network, self.part = network, part

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.part.forward(self.network, *inputs))


def _example(one: Input) -> Tensor:
    shape = (EXAMPLE_ROWS, *(size or EXAMPLE_LENGTH for size in one.shape))
    return torch.zeros(shape, dtype=getattr(torch, one.dtype))


def _prelu(x: Any, slopes: Any) -> Any:
    """Write PReLU `(B, C, ...)` as a sum: ONNX Runtime's own takes five times as long."""
    shape: Any = op.Constant(value_ints=[1, -1] + [1] * (len(x.shape) - 2))
    slopes = op.Reshape(slopes, shape)
    return op.Add(op.Mul(slopes, x), op.Mul(op.Sub(1.0, slopes), op.Relu(x)))


def _leave_out_zeros(graph: onnx.GraphProto) -> None:
    """Remove the biases of zeros that the exporter gives to convolutions without one."""
    known = {one.name for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] not in known:
            del node.input[2]
    # From the end on: what nobody asks for any more goes with the biases.
    asked = {one.name for one in graph.output}
    kept = []
    for node in reversed(graph.node):
        if asked.intersection(node.output):
            kept.append(node)
            asked.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _point_at_weights(graph: onnx.GraphProto, places: dict[str, Place]) -> None:
    """Exchange weights for their places; those stored in another type are cast before their use."""
    casts = []
    for kept in [one for one in graph.initializer if one.name.startswith(PREFIX)]:
        name = kept.name.removeprefix(PREFIX)
        place = places[name]
        stored = place.type == kept.data_type
        outside = TensorProto(name=kept.name if stored else name, dims=kept.dims)
        outside.data_type, outside.data_location = place.type, TensorProto.EXTERNAL
        where = {"location": WEIGHTS_FILE, "offset": place.offset, "length": place.length}
        for key, value in where.items():
            outside.external_data.add(key=key, value=str(value))
        if not stored:
            casts.append(helper.make_node("Cast", [name], [kept.name], to=kept.data_type))
        graph.initializer.remove(kept)
        graph.initializer.append(outside)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _strip(model: onnx.ModelProto) -> None:
    """Remove notes for the exporter's developers, and name the free axis."""
    graph = model.graph
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.name = node.doc_string = ""
    rows = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for one in (*graph.input, *graph.output):
        del one.metadata_props[:]
        for size in one.type.tensor_type.shape.dim:
            if size.dim_param == rows:
                size.dim_param = ROWS
