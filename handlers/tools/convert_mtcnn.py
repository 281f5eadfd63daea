"""The published weights of MTCNN, from the PyPI package `mtcnn` 1.0.0 to a checkpoint.

    pip download --no-deps mtcnn==1.0.0
    python -m handlers.tools.convert_mtcnn mtcnn-1.0.0-py3-none-any.whl model_store/mtcnn

Each of the three files is a pickled list of arrays under lz4: it is unpickled only after its
sha256 has been found to be the known one. Needs joblib and lz4 (the extra `train`).
"""

import argparse
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.checkpoint import CONFIG_FILE, HEADER_TYPES, save_checkpoint
from handlers.networks.mtcnn import MTCNN

FOLDER = "mtcnn/assets/weights"
NAME, VERSION = "mtcnn", "1.0.0"
MAP_SIDE = 3  # of the last feature map of R-Net and O-Net

Array = NDArray[np.float32]


@dataclass(frozen=True)
class WeightFile:
    """A weight file of the package and the modules whose parameters it lists, in its order.

    Of a layer it has weight, bias and a slope a channel; of a head, weight and bias.
    """

    file_name: str
    sha256: str
    layers: tuple[str, ...]
    heads: tuple[str, ...]


SOURCES = {
    "proposal": WeightFile(
        "pnet.lz4",
        "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        ("features.0", "features.2", "features.3"),
        ("box", "face"),
    ),
    "refine": WeightFile(
        "rnet.lz4",
        "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
        ("features.0", "features.2", "features.4", "embedding"),
        ("box", "face"),
    ),
    "output": WeightFile(
        "onet.lz4",
        "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
        ("features.0", "features.2", "features.4", "features.6", "embedding"),
        ("box", "points", "face"),
    ),
}


def read_source(package: Path, source: WeightFile) -> list[Array]:
    """The arrays of one weight file of the package: its wheel, or its installed folder `mtcnn`.

    Raises ValueError when the file is not the known one.
    """
    if package.is_dir():
        content = (package.parent / FOLDER / source.file_name).read_bytes()
    else:
        with zipfile.ZipFile(package) as wheel:
            content = wheel.read(f"{FOLDER}/{source.file_name}")
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise ValueError(f"{source.file_name} has sha256 {found}, but mtcnn 1.0.0 {source.sha256}")
    arrays: list[Array] = joblib.load(io.BytesIO(content))
    return arrays


def name_parameters(source: WeightFile, arrays: list[Array]) -> dict[str, Tensor]:
    """The arrays as parameters of a network of `networks.mtcnn`."""
    names = [
        f"{layer}.{part}" for layer in source.layers for part in ("0.weight", "0.bias", "1.weight")
    ]
    names += [f"{head}.{part}" for head in source.heads for part in ("weight", "bias")]
    return {
        name: torch.from_numpy(to_torch(name, array).copy())
        for name, array in zip(names, arrays, strict=True)
    }


def to_torch(name: str, array: Array) -> Array:
    """TensorFlow's order of axes to PyTorch's.

    The first linear layer reads the last feature map flattened as (width, height, channels);
    here it is flattened as (channels, height, width).
    """
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if name == "embedding.0.weight":
        columns = array.reshape(MAP_SIDE, MAP_SIDE, -1, array.shape[1])
        return columns.transpose(3, 2, 1, 0).reshape(array.shape[1], -1)
    return array.T if array.ndim == 2 else array.reshape(-1)


def convert(package: Path, folder: Path) -> None:
    """Write the weights into `folder`; the rest of a configuration that is there stays."""
    tensors = {
        f"{network}.{name}": tensor
        for network, source in SOURCES.items()
        for name, tensor in name_parameters(source, read_source(package, source)).items()
    }
    network = MTCNN()
    network.load_state_dict(tensors)
    config_file = folder / CONFIG_FILE
    config = json.loads(config_file.read_text("utf-8")) if config_file.exists() else {}
    kept = {key: value for key, value in config.items() if key not in HEADER_TYPES}
    save_checkpoint(folder, NAME, VERSION, kept, network.state_dict())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", type=Path, help="wheel or installed folder of mtcnn 1.0.0")
    parser.add_argument("folder", type=Path, help="the checkpoint to write")
    arguments = parser.parse_args()
    convert(arguments.package, arguments.folder)


if __name__ == "__main__":
    main()
