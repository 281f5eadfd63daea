"""A first batch before anybody waits for one: a handler either answers it or is not ready."""

import logging
import time
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.base import Handler
from handlers.engines.base import padded
from handlers.wire import pack, unpack

# NASA's portrait of the astronaut Eileen Collins, public domain, 160 x 160: every network works.
FACE = Path(__file__).with_name("face.jpg")
# A second of vowels by a formant synthesiser, 22 050 Hz: noise would be no speech.
VOICE = Path(__file__).with_name("voice.wav")

logger = logging.getLogger(__name__)

RATE_HZ = 25.0


def warm_up(handler: Handler[Any], model: str, sizes: Iterable[int]) -> None:
    """Answer a face in a batch of each size; raises RuntimeError for a refusal."""
    started = time.monotonic()
    row = face_row(model)
    for rows in sizes:
        for reply in handler.handle([row] * rows):
            if (error := unpack(reply).get("error")) is not None:
                raise RuntimeError(f"a first picture is refused: {error['detail']}")
    logger.info("%s warm after %.1f s", model, time.monotonic() - started)


def sizes_of(batch_size: int, on_gpu: bool) -> list[int]:
    """Batches to warm up: alone and full; on a GPU, which plans for each size, all that batches are
    padded to, and twice the batch, as a row may have several faces."""
    if not on_gpu:
        return sorted({1, batch_size})
    return sorted({padded(rows) for rows in range(1, 2 * batch_size + 1)})


def face_row(model: str, step: int = 0, state: bytes | None = None) -> bytes:
    """A request of one face, the first of a session or a later one with the state before it.

    For `affect` the first has a second of speech, so that it hears too.
    """
    image = FACE.read_bytes()
    inputs: dict[str, Any] = {"image": image}
    if model == "affect":
        sound = None if step else {"start": 0, "pcm": _speech()}
        inputs = {"frames": [image], "times_s": [step / RATE_HZ], "sound": sound}
    row: dict[str, Any] = {"inputs": inputs, "options": {}}
    return pack(row if state is None else {**row, "state": state})


def _speech() -> NDArray[np.int16]:
    with wave.open(str(VOICE)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)
