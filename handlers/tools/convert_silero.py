"""The weights of the package `silero-vad`, version 6.2.3, to a checkpoint of `networks.speech`.

python -m handlers.tools.convert_silero silero_vad-6.2.3-py3-none-any.whl model_store/silero
"""

import argparse
import hashlib
import io
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from handlers.checkpoint import CONFIG_FILE, HEADER_TYPES, save_checkpoint
from handlers.networks.speech import SpeechNetwork

NAME, VERSION = "silero", "1"
FILE = "silero_vad/data/silero_vad.jit"
SHA256 = "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720"
# The file holds two networks; this one is for 16 kHz.
PREFIX = "_model."


def read_published(wheel: Path) -> dict[str, Tensor]:
    """The tensors of the wheel's TorchScript archive.

    Raises ValueError where the archive is not the known one: such a file is a program.
    """
    with zipfile.ZipFile(wheel) as package:
        content = package.read(FILE)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(f"{FILE} has sha256 {found}, but that of silero-vad 6.2.3 {SHA256}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        archive = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    return dict(archive.state_dict())


def rename(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors for 16 kHz under the names of `SpeechNetwork`."""
    tensors = {}
    for name, tensor in published.items():
        if name.startswith(PREFIX):
            ours = name_of(name.removeprefix(PREFIX))
            # The head's convolution sees one place.
            tensors[ours] = tensor[:, :, 0] if ours == "head.weight" else tensor
    return tensors


def name_of(name: str) -> str:
    """Our name of a published tensor."""
    if match := re.fullmatch(r"encoder\.(\d)\.reparam_conv\.(weight|bias)", name):
        return f"encoder.{2 * int(match[1])}.{match[2]}"
    if match := re.fullmatch(r"decoder\.rnn\.((?:weight|bias)_[ih]h)", name):
        return f"lstm.{match[1]}_l0"
    if match := re.fullmatch(r"decoder\.decoder\.2\.(weight|bias)", name):
        return f"head.{match[1]}"
    return {"stft.forward_basis_buffer": "spectrum.weight"}[name]


def convert(wheel: Path, folder: Path) -> None:
    """Write the weights into `folder`; the rest of a configuration that is there stays."""
    network = SpeechNetwork()
    network.load_state_dict(rename(read_published(wheel)))
    config_file = folder / CONFIG_FILE
    config = json.loads(config_file.read_text("utf-8")) if config_file.exists() else {}
    kept = {key: value for key, value in config.items() if key not in HEADER_TYPES}
    config = {**kept, "speech": {"rate_hz": 16_000}}
    save_checkpoint(folder, NAME, VERSION, config, network.state_dict())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path, help="wheel of silero-vad 6.2.3")
    parser.add_argument("folder", type=Path, help="the checkpoint to write")
    arguments = parser.parse_args()
    convert(arguments.wheel, arguments.folder)


if __name__ == "__main__":
    main()
