"""Silero's voice activity detector: sound at 16 kHz to the probability that somebody speaks.

The network of the package `silero-vad` 6 (Silero Team, MIT); `handlers.convert` brings its weights
here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from handlers.networks.variants import SPEECH_CONTEXT

WIDTH = 128
# Of the short-time spectrum: windows of 16 ms in steps of 8 ms.
WINDOW, HOP, BINS = 256, 128, 129


@dataclass(frozen=True)
class SpeechMemory:
    """A stream's memory: the LSTM's `h` and `c` `(128,)`, its last samples `(64,)`."""

    h: Tensor
    c: Tensor
    context: Tensor

    @classmethod
    def at_start(cls) -> "SpeechMemory":
        """Return the memory at a stream's start: silence."""
        return cls(torch.zeros(WIDTH), torch.zeros(WIDTH), torch.zeros(SPEECH_CONTEXT))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return `h`, `c` and the samples."""
        return self.h, self.c, self.context


class SpeechNetwork(nn.Module):
    """A short-time spectrum, four convolutions and an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = nn.Conv1d(1, 2 * BINS, WINDOW, stride=HOP, bias=False)
        self.encoder = nn.Sequential(
            *_layer(BINS, 128, 1), *_layer(128, 64, 2), *_layer(64, 64, 2), *_layer(64, WIDTH, 1)
        )
        self.lstm = nn.LSTM(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, chunks: Tensor, memory: SpeechMemory) -> tuple[Tensor, SpeechMemory]:
        """Take chunks of 32 ms that follow each other, float `(T, 512)` in [-1, 1], T at least 1.

        Returns the probabilities `(T,)` of speech in each, and the memory after the last.
        """
        before = torch.cat([memory.context[None], chunks[:-1, -SPEECH_CONTEXT:]])
        features = self.encode(torch.cat([before, chunks], dim=1))
        out, (h, c) = self.lstm(features, (memory.h[None], memory.c[None]))
        speech = self.head(out.relu()).sigmoid()[:, 0]
        return speech, SpeechMemory(h[0], c[0], chunks[-1, -SPEECH_CONTEXT:])

    def step(self, features: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features `(B, 128)` of the next chunk of as many streams, `h` and `c` `(B, 128)`.

        Returns the probabilities `(B,)` of speech, and `h` and `c` after the chunk.
        """
        h, c = torch.lstm_cell(features, (h, c), *self.lstm.all_weights[0])
        return self.head(h.relu()).sigmoid()[:, 0], h, c

    def encode(self, samples: Tensor) -> Tensor:
        """Turn `(T, 576)` into features `(T, 128)`; what follows a chunk is its mirror image."""
        padded = F.pad(samples[:, None], (0, SPEECH_CONTEXT), mode="reflect")
        real, imaginary = self.spectrum(padded).split(BINS, dim=1)
        magnitude = (real.square() + imaginary.square()).sqrt()
        return self.encoder(magnitude)[:, :, 0]  # type: ignore[no-any-return]


def _layer(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv1d(inputs, outputs, 3, stride=stride, padding=1), nn.ReLU()
