"""Networks as graphs beside their weights, computed by ONNX Runtime: for processors, without torch.

A graph holds no weights: it names places in `weights.safetensors`, as ONNX's external data allows.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import onnxruntime

from handlers.engines.base import Array, Input
from handlers.engines.choice import trim

# The types of ONNX that the networks use.
TYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(bool)": "bool"}
SUFFIX = ".onnx"
ERRORS_ALONE = 3  # it warns of constants that it leaves to be computed


@dataclass(frozen=True)
class Graph:
    """A loaded graph with its inputs and outputs, read once: asking the session is slow."""

    session: onnxruntime.InferenceSession
    inputs: Mapping[str, Input]
    outputs: Sequence[str]

    @classmethod
    def load(cls, path: Path, options: onnxruntime.SessionOptions) -> "Graph":
        """Read a graph and the weights that it names."""
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        inputs = {
            one.name: Input(tuple(map(_length, one.shape[1:])), TYPES[one.type])
            for one in session.get_inputs()
        }
        return cls(session, inputs, [one.name for one in session.get_outputs()])


class OnnxEngine:
    """The graphs of a model's folder; each is loaded when it is first asked for."""

    name = "onnxruntime"
    is_parallel = True

    def __init__(self, folder: Path, parts: Sequence[str], threads: int) -> None:
        """Take the names of the graphs; each computation has so many threads."""
        self.folder, self.parts = folder, frozenset(parts)
        self._options = _session_options(threads)
        self._graphs: dict[str, Graph] = {}
        self._loading = threading.Lock()

    def inputs(self, part: str) -> Mapping[str, Input]:
        """Read them off the graph."""
        return self._graph(part).inputs

    def run(self, part: str, **inputs: Array) -> dict[str, Array]:
        """Compute a part; a session may be run by several threads at once."""
        graph = self._graph(part)
        fed = {name: np.ascontiguousarray(inputs[name]) for name in graph.inputs}
        return dict(zip(graph.outputs, graph.session.run(graph.outputs, fed), strict=True))

    def prepare(self) -> None:
        """Load all graphs."""
        for part in self.parts:
            self._graph(part)

    def _graph(self, part: str) -> Graph:
        if part not in self.parts:
            raise KeyError(f"{self.folder} has no graph {part}; there are {sorted(self.parts)}")
        # Two threads must not load one graph: it would take its memory twice.
        with self._loading:
            if part not in self._graphs:
                self._graphs[part] = Graph.load(self.folder / f"{part}{SUFFIX}", self._options)
                trim()
            return self._graphs[part]


# Models have networks in common, and each copy would take its memory and its time to load.
_engines: "WeakValueDictionary[tuple[Path, str, int], OnnxEngine]" = WeakValueDictionary()
_sharing = threading.Lock()


def shared_engine(folder: Path, sha256: str, parts: Sequence[str], threads: int) -> OnnxEngine:
    """Return the engine of these very weights, the same one while anybody has it."""
    key = folder.resolve(), sha256, threads
    with _sharing:
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = OnnxEngine(folder, parts, threads)
        return engine


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = ERRORS_ALONE
    # Each session's own arena keeps what its largest batch took: twice the memory, and no faster.
    options.enable_cpu_mem_arena = False
    # Threads that wait sleep: other processes and the other models' threads need the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _length(size: int | str | None) -> int | None:
    return size if isinstance(size, int) else None
