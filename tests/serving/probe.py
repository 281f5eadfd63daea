"""A handler that does to its worker what a row asks for."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from handlers.torchserve.adaptor import Adaptor
from handlers.wire import read_request, write_error, write_reply


class ProbeHandler:
    """Echoes; `do` in a row's inputs makes it sleep, raise, lose a row, break the device, die,
    or refuse the row."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def handle(self, rows: Sequence[bytes | bytearray]) -> list[bytes]:
        requests = [read_request(row) for row in rows]
        deeds = {request.inputs.get("do") for request in requests}
        for request in requests:
            time.sleep(request.inputs.get("sleep_s", 0.0))
        if "break-device" in deeds and not (marker := self.store / "device-broke").exists():
            marker.touch()
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")
        if "raise" in deeds:
            raise RuntimeError("as asked")
        if "die" in deeds and not (marker := self.store / "died").exists():
            marker.touch()
            os._exit(1)
        replies = [self.reply(request.inputs, request.state, len(rows)) for request in requests]
        return replies[1:] if "lose" in deeds else replies

    def reply(self, inputs: dict[str, Any], state: bytes | None, rows: int) -> bytes:
        if inputs.get("do") == "refuse":
            return write_error("truncated-image", "as asked")
        return write_reply({"pid": os.getpid(), "rows": rows, "echo": inputs.get("echo")}, state)

    def describe(self) -> dict[str, Any]:
        return {"name": "track", "version": "probe", "sha256": "0" * 64}


class ProbeAdaptor(Adaptor):
    """Makes the probe in the place of a model; a file `broken` stands for wrong weights."""

    load_again_s = 1.0

    def make(self, store: Path, device: str) -> ProbeHandler:
        if (store / "broken").exists():
            raise ValueError("the weights do not fit")
        if (store / "device-fails-once").exists():
            (store / "device-fails-once").unlink()
            raise torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered")
        return ProbeHandler(store)
