"""The models in workers of their own: asked over HTTP, asked again if need be, looked after."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Self

from service.errors import Problem, ServiceError
from service.inference import (
    DESCRIBE,
    Answer,
    Load,
    Question,
    Readiness,
    pack_question,
    unpack_answer,
    weights_of,
)
from service.inference.gathering import Gatherer, most_rows
from service.inference.remote.calls import (
    RETRY_AFTER_S,
    Failure,
    WorkerError,
    call,
    call_rows,
    within,
)
from service.inference.remote.pool import Health, Host, HostPool
from service.settings import Settings
from service.telemetry import fields

MODELS = ("align", "track", "affect")
TIMEOUT_S = 5.0  # for a model to describe itself
WELL_S = 5.0  # between two looks at a host that does well
ILL_S = 1.0  # and at one that does not, so that it is soon used again
LIVE = "track"
# Of the whole time: the rest is for a second try.
FIRST_TRY_SHARE = {LIVE: 0.25}
DEFAULT_SHARE = 0.5
# Before the same host is asked again: its worker may be starting anew.
PAUSE_S = 0.05
# Another row of the call may be to blame: the second try goes alone.
FAULTS_OF_A_ROW = (Failure.BROKEN, Failure.RESET)

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
        """Say whether some model works, and none that a host has fails at all of its hosts.

        Until everybody has been asked once, nobody knows where the versions of a model are.
        """
        working: list[str] = []
        reasons: list[str] = []
        for model in MODELS:
            if self._working(model):
                working.append(model)
            else:
                reasons += self._failures(model)
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

    def _failures(self, model: str) -> list[str]:
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


class TorchServeInference:
    """Worker servers behind one protocol; which of them answers makes no difference.

    Questions that wait for the same model at the same host share a call. A question is asked once
    more where its first try fails: at another host if there is one, else at the same, which answers
    when its worker is back. Where the call may have failed because of another row, it goes alone
    then. The call of a first try has a share of the whole time only, which begins when the call
    does. A host that refuses the connection does not count as a try.

    Versions of a model may be served side by side: a session goes on at the hosts that hold the
    version which wrote its state, a new one begins at the newest.
    """

    def __init__(self, pool: HostPool, settings: Settings) -> None:
        """Take the hosts, and from the settings the times and the bound on questions in flight."""
        self._pool = pool
        self._probes = Probes(pool)
        self._settings = settings
        self._in_flight = 0
        self._probing: asyncio.Task[None] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the addresses of the settings; whether somebody answers there shows later."""
        return cls(HostPool(settings.workers), settings)

    async def open(self) -> None:
        """Start to look for the workers; they need not be up yet, readiness says when they are."""
        await self._pool.open()
        self._probing = asyncio.create_task(self._probes.run())

    async def close(self) -> None:
        """Close the connections; what is in flight fails."""
        probing, self._probing = self._probing, None
        if probing is not None:
            probing.cancel()
            with suppress(asyncio.CancelledError):
                await probing
        for host in self._pool.hosts:
            for gatherer in host.gatherers.values():
                gatherer.close(WorkerError(Failure.RESET, "the client is closed"))
        await self._pool.close()

    async def ask(self, model: str, question: Question) -> Answer:
        """Answer one question; raises ServiceError for refusals, failures and too much at once."""
        if self._in_flight >= self._settings.max_questions:
            raise ServiceError(
                Problem.OVERLOADED,
                f"{self._in_flight} questions are at the models, the most that are sent at once",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._in_flight += 1
        try:
            return await self._deliver(model, question)
        finally:
            self._in_flight -= 1

    async def describe(self, model: str | None = None) -> list[dict[str, Any]]:
        """Return what the models that work said last, each version once; raises ServiceError."""
        if not (found := self._probes.descriptions()):
            raise _unavailable(self._probes.readiness().reason or "no model answers")
        return [told for told in found if model in (None, told.get("name"))]

    async def readiness(self) -> Readiness:
        """Say whether every model that the workers have answers at one host at least."""
        return self._probes.readiness()

    async def _deliver(self, model: str, question: Question) -> Answer:
        body, weights = pack_question(question), weights_of(question.state)
        most = most_rows(model, question)
        total_s, first_s = self._times(model)
        deadline = time.monotonic() + total_s
        refused: set[Host] = set()
        failed: set[Host] = set()
        while (host := self._pool.choose(model, refused, failed, weights)) is not None:
            if host in failed:
                await asyncio.sleep(PAUSE_S)
            left_s = max(deadline - time.monotonic(), 0.001)
            try:
                async with within(left_s):
                    limit_s = left_s if failed else first_s
                    return await _try(host, model, body, most, limit_s, question.load)
            except WorkerError as error:
                last = bool(failed) and error.failure is not Failure.REFUSED
                (refused if error.failure is Failure.REFUSED else failed).add(host)
                most = 1 if error.failure in FAULTS_OF_A_ROW else most
                nowhere = refused.issuperset(self._pool.candidates(model, weights))
                if last or nowhere or not error.failure.repeatable:
                    raise error.as_problem() from error
                told = fields(model=model, host=host.name, reason=str(error))
                logger.warning("question repeated", extra=told)
        raise _unavailable("no worker is known")

    def _times(self, model: str) -> tuple[float, float]:
        settings = self._settings
        total_s = settings.step_timeout_s if model == LIVE else settings.inference_timeout_s
        return total_s, total_s * FIRST_TRY_SHARE.get(model, DEFAULT_SHARE)


async def _try(
    host: Host, model: str, body: bytes, most: int, limit_s: float, load: Load
) -> Answer:
    health = host.health(model)
    host.in_flight += 1
    try:
        reply = await _gatherer(host, model).ask(model, body, most, limit_s, load)
        answer = replace(unpack_answer(reply.body), batch=reply.batch)
    except ServiceError as error:
        # A refusal is an answer: the model works.
        if error.problem is not Problem.UNAVAILABLE:
            health.succeeded()
            raise
        health.failed(error.detail, there=True)
        raise WorkerError(Failure.BROKEN, error.detail, error.detail) from error
    finally:
        host.in_flight -= 1
    health.succeeded()
    return answer


def _gatherer(host: Host, model: str) -> Gatherer:
    if model not in host.gatherers:
        health = host.health(model)
        host.gatherers[model] = Gatherer(
            partial(call_rows, host), lambda: health.workers, ahead=True
        )
    return host.gatherers[model]


def _unavailable(detail: str) -> ServiceError:
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return ServiceError(Problem.UNAVAILABLE, detail, headers)
