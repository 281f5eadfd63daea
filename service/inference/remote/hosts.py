"""One place where a worker server answers, and how each model there has been doing."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession

from service.inference.gathering import Gatherer
from service.inference.wire import weights_in

FIRST_REST_S = 0.25
LONGEST_REST_S = 5.0
TOLERATED_FAILURES = 1  # in a row, before the model counts as failing
GIVEN_UP_S = 60.0  # without an answer, until its version counts as gone


@dataclass
class Health:
    """The state of one model at one host, by its last answers.

    After a failure the model rests there: it is asked at another host, if there is one that does
    better. One failure alone may be an accident; `works` turns false with the second in a row.
    `there` is whether the host has the model at all, None as long as it has not said. `workers`
    are how many calls it answers at a time.
    """

    failures: int = 0
    rests_until: float = 0.0
    there: bool | None = None
    reason: str | None = "no worker has answered yet"
    device: str = "none"
    workers: int = 1
    description: Mapping[str, Any] | None = None
    answered_at: float = float("-inf")

    @property
    def weights(self) -> str | None:
        """Hash of the weights that the model said it has."""
        return weights_in(self.description)

    def holds(self, weights: str) -> bool:
        """Whether the version with these weights is here, or is away for a short time only."""
        return self.weights == weights and time.monotonic() - self.answered_at < GIVEN_UP_S

    @property
    def works(self) -> bool:
        """Whether the model has told what it is, and has not failed repeatedly since."""
        return self.description is not None and self.failures <= TOLERATED_FAILURES

    @property
    def rests(self) -> bool:
        """Whether another host is to be preferred for now."""
        return time.monotonic() < self.rests_until

    def succeeded(self) -> None:
        """Note an answer."""
        self.answered_at = time.monotonic()
        self.failures, self.rests_until, self.there, self.reason = 0, 0.0, True, None

    def failed(self, reason: str, there: bool | None) -> None:
        """Note a failure, and what it tells of the model; rests grow with failures in a row."""
        self.failures += 1
        rest_s = min(FIRST_REST_S * 2 ** min(self.failures - 1, 10), LONGEST_REST_S)
        self.rests_until = time.monotonic() + rest_s
        self.reason = reason
        self.there = self.there if there is None else there


@dataclass(eq=False)
class Host:
    """A worker server: `name` for people, `base` and `session` to send to.

    `rank` is the place of its address among the settings': the first is the one for new sessions.
    `in_flight` are the questions that wait for it or are at work, `gatherers` gather those of each
    model.
    """

    name: str
    base: str
    session: ClientSession
    rank: int = 0
    in_flight: int = 0
    models: dict[str, Health] = field(default_factory=dict)
    gatherers: dict[str, Gatherer] = field(default_factory=dict)

    @property
    def answers(self) -> bool:
        """Whether some model works here."""
        return any(health.works for health in self.models.values())

    def may_have(self, model: str) -> bool:
        """Whether the model is here, or is asked for where others answer and has not said yet."""
        there = self.health(model).there
        return self.answers if there is None else there

    def health(self, model: str) -> Health:
        """Return the health of a model here; one that was never asked is presumed well."""
        return self.models.setdefault(model, Health())
