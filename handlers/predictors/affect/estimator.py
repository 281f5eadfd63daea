"""The interface of all affect models: moments to readings, readings to answers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handlers.predictors.affect.inputs import Moment, Sound
from handlers.predictors.tracking.state import Memory

Floats = NDArray[np.float32]

MAX_BATCH = 32


class Reading(NamedTuple):
    """One moment as C reads it, by itself: `features` `(F,)`, the mean gate, D's quadrants `(4,)`
    as probabilities, and which modalities it was read from."""

    features: Floats
    gate: float | None
    quadrants: Floats | None
    used: tuple[str, ...]


class Answer(NamedTuple):
    """Valence and arousal in [-1, 1], weights of the states held, the memory after the moment,
    shares of EXPRESSIONS, and how sure the networks are, in [0, 1].

    None, or nothing, is what the networks do not tell from what they were given.
    """

    valence: float | None
    arousal: float | None
    attention: tuple[float, ...]
    memory: Memory
    expressions: tuple[float, ...] = ()
    sure: float | None = None


class Estimator(ABC):
    """The networks of one variant; holds nothing of any session.

    `context` widens a landmark box to the crop of a face; `sees` and `hears` say whether faces and
    sound are of any use to them.
    """

    context: float
    sees: bool
    hears: bool

    @abstractmethod
    def silence(self) -> Sound:
        """Return what a session has heard at its start."""

    @abstractmethod
    def hear(self, sound: Sound, time_s: float) -> Floats | None:
        """Return the sound around a time for the network, None where nothing can be used."""

    @abstractmethod
    def read(self, moments: Sequence[Moment]) -> list[Reading | None]:
        """Everything that does not depend on time; None where a moment gives nothing to use."""

    @abstractmethod
    def step(
        self,
        readings: Sequence[Reading],
        memories: Sequence[Memory | None],
        news: Sequence[float],
    ) -> list[Answer]:
        """One moment of as many sessions; a memory of None is that of a session's start.

        `news` says how much of each moment counts beside what was before, 1 for all; memories
        that learned how to remember do without it.
        """
