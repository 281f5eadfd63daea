"""Published weights of MTCNN and Silero's speech detector, from their PyPI packages to checkpoints.

    pip download --no-deps mtcnn==1.0.0 silero-vad==6.2.3
    python -m handlers.convert mtcnn mtcnn-1.0.0-py3-none-any.whl model_store/mtcnn
    python -m handlers.convert silero silero_vad-6.2.3-py3-none-any.whl model_store/silero

What is read may be a program (pickled lists under lz4, a TorchScript archive): it is loaded only
after its sha256 has been found to be the known one. Needs joblib and lz4 (the extra `train`).
"""

import argparse
import hashlib
import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handlers.checkpoint import CONFIG_FILE, HEADER_TYPES, save_checkpoint
from handlers.networks.mtcnn import MTCNN
from handlers.networks.speech import SpeechNetwork

MTCNN_FOLDER = "mtcnn/assets/weights"
MAP_SIDE = 3  # of the last feature map of R-Net and O-Net
SILERO_FILE = "silero_vad/data/silero_vad.jit"
SILERO_SHA256 = "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720"
# The file holds two networks; this one is for 16 kHz.
SILERO_PREFIX = "_model."

Array = NDArray[np.float32]


@dataclass(frozen=True)
class WeightFile:
    """A weight file of MTCNN and the modules whose parameters it lists, in its order.

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


def read_known(package: Path, name: str, sha256: str) -> bytes:
    """Read a file of a package: its wheel, or the folder that it is installed in.

    Raises ValueError when the file is not the known one.
    """
    if package.is_dir():
        content = (package.parent / name).read_bytes()
    else:
        with zipfile.ZipFile(package) as wheel:
            content = wheel.read(name)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ValueError(f"{name} has sha256 {found}, but the known one {sha256}")
    return content


def read_mtcnn(package: Path) -> dict[str, Tensor]:
    """Read the tensors of all three networks under their names in `MTCNN`."""
    return {
        f"{network}.{name}": tensor
        for network, source in SOURCES.items()
        for name, tensor in name_parameters(source, read_source(package, source)).items()
    }


def read_source(package: Path, source: WeightFile) -> list[Array]:
    """Read the arrays of one weight file; raises ValueError when it is not the known one."""
    content = read_known(package, f"{MTCNN_FOLDER}/{source.file_name}", source.sha256)
    arrays: list[Array] = joblib.load(io.BytesIO(content))
    return arrays


def name_parameters(source: WeightFile, arrays: list[Array]) -> dict[str, Tensor]:
    """Return the arrays as parameters of a network of `networks.mtcnn`."""
    names = [
        f"{layer}.{part}" for layer in source.layers for part in ("0.weight", "0.bias", "1.weight")
    ]
    names += [f"{head}.{part}" for head in source.heads for part in ("weight", "bias")]
    return {
        name: torch.from_numpy(to_torch(name, array).copy())
        for name, array in zip(names, arrays, strict=True)
    }


def to_torch(name: str, array: Array) -> Array:
    """Bring TensorFlow's order of axes to PyTorch's.

    The first linear layer reads the last feature map flattened as (width, height, channels);
    here it is flattened as (channels, height, width).
    """
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    if name == "embedding.0.weight":
        columns = array.reshape(MAP_SIDE, MAP_SIDE, -1, array.shape[1])
        return columns.transpose(3, 2, 1, 0).reshape(array.shape[1], -1)
    return array.T if array.ndim == 2 else array.reshape(-1)


def read_silero(package: Path) -> dict[str, Tensor]:
    """Read the tensors for 16 kHz under their names in `SpeechNetwork`."""
    content = read_known(package, SILERO_FILE, SILERO_SHA256)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        archive = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    tensors = {}
    for name, tensor in archive.state_dict().items():
        if name.startswith(SILERO_PREFIX):
            ours = name_of(name.removeprefix(SILERO_PREFIX))
            # The head's convolution sees one place.
            tensors[ours] = tensor[:, :, 0] if ours == "head.weight" else tensor
    return tensors


def name_of(name: str) -> str:
    """Return the name in `SpeechNetwork` of a tensor of Silero's."""
    if match := re.fullmatch(r"encoder\.(\d)\.reparam_conv\.(weight|bias)", name):
        return f"encoder.{2 * int(match[1])}.{match[2]}"
    if match := re.fullmatch(r"decoder\.rnn\.((?:weight|bias)_[ih]h)", name):
        return f"lstm.{match[1]}_l0"
    if match := re.fullmatch(r"decoder\.decoder\.2\.(weight|bias)", name):
        return f"head.{match[1]}"
    return {"stft.forward_basis_buffer": "spectrum.weight"}[name]


@dataclass(frozen=True)
class Published:
    """A model with published weights: its network, how they are read, what is configured."""

    version: str
    network: Callable[[], nn.Module]
    read: Callable[[Path], dict[str, Tensor]]
    config: Mapping[str, Any]


PUBLISHED = {
    "mtcnn": Published("1.0.0", MTCNN, read_mtcnn, {}),
    "silero": Published("1", SpeechNetwork, read_silero, {"speech": {"rate_hz": 16_000}}),
}


def convert(name: str, package: Path, folder: Path) -> None:
    """Write the weights into `folder`; the rest of a configuration that is there stays."""
    published = PUBLISHED[name]
    network = published.network()
    network.load_state_dict(published.read(package))
    config_file = folder / CONFIG_FILE
    config = json.loads(config_file.read_text("utf-8")) if config_file.exists() else {}
    kept = {key: value for key, value in config.items() if key not in HEADER_TYPES}
    config = {**kept, **published.config}
    save_checkpoint(folder, name, published.version, config, network.state_dict())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=PUBLISHED)
    parser.add_argument("package", type=Path, help="its wheel, or the folder it is installed in")
    parser.add_argument("folder", type=Path, help="the checkpoint to write")
    given = parser.parse_args()
    convert(given.name, given.package, given.folder)


if __name__ == "__main__":
    main()
