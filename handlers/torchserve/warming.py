"""A first batch before anybody waits for one: a handler either answers it or is not ready."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from handlers.processing.image import encode_png
from handlers.wire import pack, unpack

SIDE_PX = 160
GREY = 128

logger = logging.getLogger(__name__)

# Options that bring the networks to work although the picture shows no face.
OPTIONS: Mapping[str, Mapping[str, Any]] = {"align": {"boxes": [[40.0, 40.0, 120.0, 120.0]]}}

SOUND_SAMPLES = 22_050
LOUD = 3000


class Handler(Protocol):
    """What is asked of a handler object."""

    def handle(self, rows: Sequence[bytes]) -> list[bytes]: ...


def warm_up(handler: Handler, model: str, batch_size: int) -> None:
    """Answer one grey picture alone and in a full batch; raises RuntimeError for a refusal."""
    started = time.monotonic()
    row = first_row(model)
    for rows in sorted({1, batch_size}):
        for reply in handler.handle([row] * rows):
            if (error := unpack(reply).get("error")) is not None:
                raise RuntimeError(f"a first picture is refused: {error['detail']}")
    logger.info("%s warm after %.1f s", model, time.monotonic() - started)


def first_row(model: str) -> bytes:
    """A request of one grey picture; for `affect` with a second of noise, so that it hears too."""
    image = encode_png(np.full((SIDE_PX, SIDE_PX, 3), GREY, np.uint8))
    inputs: dict[str, Any] = {"image": image}
    if model == "affect":
        noise = np.random.default_rng(0).integers(-LOUD, LOUD, SOUND_SAMPLES).astype(np.int16)
        inputs = {"frames": [image], "times_s": [0.0], "sound": {"start": 0, "pcm": noise}}
    return pack({"inputs": inputs, "options": OPTIONS.get(model, {})})
