"""Regular questions to the workers: what is ready, and how each model describes itself."""

import asyncio
import logging
from typing import Any

from service.errors import ServiceError
from service.inference import DESCRIBE, Readiness, unpack_answer
from service.inference.remote.calls import WorkerError, call, within
from service.inference.remote.pool import Health, Host, HostPool
from service.telemetry import fields

MODELS = ("align", "track", "affect")
TIMEOUT_S = 5.0  # for a model to describe itself
WELL_S = 5.0  # between two looks at a host that does well
ILL_S = 1.0  # and at one that does not, so that it is soon used again

logger = logging.getLogger(__name__)


class Probes:
    """A question about itself to every model of every host, through the queue that all take.

    An answer means that the server, the model's worker and its weights are there. What readiness
    says is for everybody; where a host is stands in the log.
    """

    def __init__(self, pool: HostPool) -> None:
        self._pool = pool
        self._asked = False

    async def run(self) -> None:
        """Look names up and ask everybody, until cancelled; sooner again while something is ill."""
        while True:
            try:
                await self.round()
            # A mistake in one round must not end the probing: readiness would stand still.
            except Exception:
                logger.exception("the workers could not be looked after")
            await asyncio.sleep(WELL_S if self.readiness().ready else ILL_S)

    async def round(self) -> None:
        """Look names up and ask everybody once."""
        await self._pool.refresh()
        asked = [(host, model) for host in self._pool.hosts for model in MODELS]
        # All at once: a host that does not answer must not delay what others say.
        await asyncio.gather(*(_probe(host, model) for host, model in asked))
        self._asked = True

    def readiness(self) -> Readiness:
        """Ready: some model works, and none that a host has fails at all of its hosts.

        Until everybody has been asked once, nobody knows where the versions of a model are.
        """
        working: list[str] = []
        reasons: list[str] = []
        for model in MODELS:
            if self._working(model):
                working.append(model)
            else:
                reasons += self._ills(model)
        if not working and not reasons:
            reasons = self._absences()
        if not self._asked:
            working, reasons = [], reasons or ["not every worker has answered yet"]
        ready, reason = not reasons, "; ".join(reasons) or None
        return Readiness(ready, ", ".join(self._devices()) or "none", tuple(working), reason)

    def descriptions(self) -> list[dict[str, Any]]:
        """Return the descriptions of the working models, each version once."""
        found: list[dict[str, Any]] = []
        for model in MODELS:
            for health in self._working(model):
                description = dict(health.description or {})
                if description not in found:
                    found.append(description)
        return found

    def _ills(self, model: str) -> list[str]:
        having = [host for host in self._pool.hosts if host.may_have(model)]
        return [
            f"{model}: {reason}" for reason in sorted({_reason(host, model) for host in having})
        ]

    def _absences(self) -> list[str]:
        return sorted({_reason(host, MODELS[0]) for host in self._pool.hosts}) or [
            "no worker is known"
        ]

    def _devices(self) -> list[str]:
        return sorted({health.device for model in MODELS for health in self._working(model)})

    def _working(self, model: str) -> list[Health]:
        known = [host.health(model) for host in self._pool.hosts]
        return [health for health in known if health.works]


def _reason(host: Host, model: str) -> str:
    return host.health(model).reason or "answers"


async def _probe(host: Host, model: str) -> None:
    health = host.health(model)
    was_working = health.works
    try:
        async with within(TIMEOUT_S):
            outputs = unpack_answer(await call(host, model, DESCRIBE)).outputs
        health.device = str(outputs.get("device"))
        health.workers = int(outputs.get("workers", 1))
        health.description = outputs.get("description")
        health.succeeded()
    except WorkerError as error:
        logger.debug("%s at %s: %s", model, host.name, error)
        health.failed(error.told, error.there)
    except ServiceError as error:
        health.failed(error.detail, there=True)
    if health.works != was_working:
        told = fields(model=model, host=host.name, reason=health.reason)
        logger.info("model answers" if health.works else "model does not answer", extra=told)
