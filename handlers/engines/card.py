"""The graphs of a model to the section of its card that tells users of other runtimes about them.

The card is the README.md beside the weights. Shapes are read off the graphs; what the numbers mean
is written here, by the name of an input or output.
"""

from collections.abc import Iterable
from pathlib import Path

import onnx

CARD = "README.md"
HEADING = "## As ONNX"
ROWS_FIRST = (
    "A graph for each part; the first axis of every array, not written here, counts rows, which do "
    "not depend on each other. Weights lie in `weights.safetensors`, so a graph is loaded from its "
    "folder. `countenance export` writes the graphs and this section."
)
TYPES = {"FLOAT": "float32", "INT64": "int64", "BOOL": "bool"}
AT_START = "zeros at a stream's start, then `next_{}`"
# By part and name, else by name alone.
MEANINGS = {
    "crops": "RGB / 127.5 - 1 of a square around the face, `context` in `config.json` times as "
    "wide as its landmarks' box",
    "features.crops": "RGB / 127.5 - 1 of a square around the face, `tracker_context` in "
    "`config.json` times as wide as its landmarks' box",
    "validate.crops": "the same with `validator_context`",
    "encode_voice.crops": "the Mel window of the voice, three times",
    "refine.crops": "(RGB - 127.5) / 128 of candidates",
    "output.crops": "(RGB - 127.5) / 128 of candidates",
    "levels": "(RGB - 127.5) / 128 of a picture in falling sizes",
    "faces": "grey values in [0, 255] of a face",
    "windows": "a Mel window: bands, columns",
    "samples": "sound of 16 kHz in [-1, 1]: 64 samples before a chunk and its 512",
    "descriptors": "descriptors of the voice, standardised by `descriptors` in `config.json`",
    "face": "`planes` of a face",
    "voice": "`planes` of a voice",
    "has_face": "whether there is a face",
    "has_voice": "whether there is a voice",
    "now": "`features` of a crop of this frame",
    "before": "`features` of the frame before in a crop at the same place",
    "points": "x, y in pixels of the crop",
    "output.points": "eyes, nose and corners of the mouth, in shares of the candidate's box",
    "spread": "how far each point may lie off, in pixels of the crop",
    "actions": "facial actions (docs/facial-actions.md), about in [0, 1]",
    "probabilities": "of clean and of each class in `config.json`",
    "cleaned": "the crops without the degradation",
    "scores": "probabilities of a face",
    "offsets": "of a candidate's sides, in shares of them",
    "probability": "that the points lie on a face",
    "features": "what the step reads",
    "planes": "what `features` reads",
    "quadrants": "probabilities of the quadrants of valence and arousal",
    "gate": "1 is all face, 0 is all voice",
    "estimate": "valence and arousal in [-1, 1]",
    "weights": "attention on the states held",
    "logits": "of the eight words of emotion",
    "place": "valence and arousal in [-1, 1]",
    "arousal": "in [-1, 1]",
    "speech": "the probability of speech",
}
EXAMPLE = """```python
from pathlib import Path

import numpy as np
import onnxruntime

for path in sorted(Path("model_store/{model}").glob("*.onnx")):
    session = onnxruntime.InferenceSession(path)
    types = {{"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}}
    inputs = {{}}
    for one in session.get_inputs():
        sizes = [size if isinstance(size, int) else 64 for size in one.shape[1:]]
        inputs[one.name] = np.zeros([1, *sizes], types[one.type])
    names = [one.name for one in session.get_outputs()]
    answers = dict(zip(names, session.run(names, inputs)))
```
"""


def section(folder: Path) -> str:
    """Write the section of the model's card on its graphs, in Markdown."""
    paths = sorted(folder.glob("*.onnx"))
    rows = ["| part | inputs | outputs |\n| --- | --- | --- |\n"]
    for path in paths:
        graph = onnx.load(path, load_external_data=False).graph
        cells = [_tell(path.stem, values) for values in (graph.input, graph.output)]
        rows.append(f"| `{path.stem}` | {cells[0]} | {cells[1]} |\n")
    example = EXAMPLE.format(model=folder.name)
    return f"{HEADING}\n\n{ROWS_FIRST}\n\n{''.join(rows)}\n{example}"


def write_section(folder: Path) -> None:
    """Put the section at the end of the model's card, if it has one, in place of an older one."""
    path = folder / CARD
    if path.is_file():
        before = path.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")[0].rstrip()
        path.write_text(f"{before}\n\n{section(folder)}", encoding="utf-8")


def _tell(part: str, values: Iterable[onnx.ValueInfoProto]) -> str:
    return "; ".join(
        f"`{one.name}`{_shape(one.type.tensor_type)}: {_meaning(part, one.name)}" for one in values
    )


def _shape(kind: onnx.TypeProto.Tensor) -> str:
    sizes = [str(size.dim_value or "any") for size in kind.shape.dim[1:]]
    name = TYPES[onnx.TensorProto.DataType.Name(kind.elem_type)]
    return f" {' x '.join(sizes)}".rstrip() + ("" if name == "float32" else f" ({name})")


def _meaning(part: str, name: str) -> str:
    if name.startswith("next_"):
        return f"`{name.removeprefix('next_')}` of the next step"
    known = MEANINGS.get(f"{part}.{name}") or MEANINGS.get(name)
    return known or AT_START.format(name)
