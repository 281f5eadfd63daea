"""Addresses of workers into hosts, and how each model at each of them has been doing."""

import asyncio
import logging
import random
import re
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp import BaseConnector, ClientSession, DummyCookieJar, TCPConnector, UnixConnector

from service.inference import weights_in
from service.inference.gathering import Gatherer

# Of a model that failed; twice as long with every further failure in a row.
FIRST_REST_S = 0.25
LONGEST_REST_S = 5.0
TOLERATED_FAILURES = 1  # in a row, before the model counts as failing
GIVEN_UP_S = 60.0  # without an answer, until its version counts as gone
DEFAULT_PORT = 8080
UNIX = "unix:"
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
logger = logging.getLogger(__name__)
PARTS = re.compile(r"\d+|[^\d.]+")


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
        """Tell whether the version with these weights is here, or away for a short time only."""
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
        # The exponent is bounded: after a long outage the power would be beyond all floats.
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
        """Tell whether the model is here, or asked for where others answer and has not said yet."""
        there = self.health(model).there
        return self.answers if there is None else there

    def health(self, model: str) -> Health:
        """Return the health of a model here; one that was never asked is presumed well."""
        return self.models.setdefault(model, Health())


class HostPool:
    """The hosts behind a list of `http://name[:port]` and `unix:/path`, and who is asked next."""

    def __init__(self, addresses: Sequence[str], resolve: Resolve | None = None) -> None:
        """Take the addresses as settings give them; nothing is looked up before `open`.

        `resolve` turns a name and a port into IP addresses, or raises OSError.
        """
        self._addresses = addresses
        self._resolve = resolve or look_up
        self._hosts: dict[str, Host] = {}
        self._sessions: list[ClientSession] = []
        self._tcp: ClientSession | None = None

    @property
    def hosts(self) -> list[Host]:
        """Return all hosts that are known now."""
        return list(self._hosts.values())

    async def open(self) -> None:
        """Make connections possible and look names up; a name that is unknown is no error."""
        # No limit of connections: the gatherers bound what is in flight.
        self._tcp = self._session(TCPConnector(limit=0))
        for rank, address in enumerate(self._addresses):
            if address.startswith(UNIX):
                path = address.removeprefix(UNIX)
                session = self._session(UnixConnector(path, limit=0))
                self._hosts[address] = Host(address, "http://localhost", session, rank)
        await self.refresh()

    async def close(self) -> None:
        """Close every connection, also those with a question in flight."""
        self._hosts.clear()
        for session in self._sessions:
            await session.close()
        self._sessions.clear()

    async def refresh(self) -> None:
        """Look names up anew: new addresses join, vanished ones get no further question.

        A name that cannot be looked up keeps the hosts that it had.
        """
        for rank, address in enumerate(self._addresses):
            if address.startswith(UNIX):
                continue
            parts = urlsplit(address)
            port = parts.port or DEFAULT_PORT
            try:
                found = await self._resolve(str(parts.hostname), port)
            except OSError as error:
                logger.debug("%s cannot be looked up: %s", address, error)
                continue
            self._replace(address, rank, [_base(ip, port) for ip in found])

    def candidates(self, model: str, weights: str | None) -> list[Host]:
        """Return the hosts that may be asked: those that hold the version of a state, else all.

        A version that is only away for a moment is waited for: another one would start the
        session anew.
        """
        if weights is not None:
            holding = [host for host in self.hosts if host.health(model).holds(weights)]
            if holding:
                return holding
        return self.hosts

    def newest(self, model: str) -> str | None:
        """Return the weights for new sessions: at the first address, then of the last number.

        None where no host has told its version.
        """
        working = [host for host in self.hosts if host.health(model).works]
        best = max(
            working,
            key=lambda host: (-host.rank, version_order(host.health(model).description)),
            default=None,
        )
        return None if best is None else best.health(model).weights

    def choose(
        self,
        model: str,
        refused: Collection[Host] = (),
        failed: Collection[Host] = (),
        weights: str | None = None,
    ) -> Host | None:
        """Return the host to ask for a state of these `weights`, None for none.

        One that has not refused, not failed, has the newest version, is not resting, is least
        busy, in this order.
        """
        newest = self.newest(model)
        return min(
            self.candidates(model, weights),
            key=lambda host: (
                host in refused,
                host in failed,
                host.health(model).weights not in (None, newest),
                host.health(model).rests,
                host.in_flight,
                # Among equals by chance: several services must not all choose the same host.
                random.random(),
            ),
            default=None,
        )

    def _replace(self, address: str, rank: int, found: Sequence[str]) -> None:
        assert self._tcp is not None
        names = {f"{address} ({base})": base for base in found}
        for name in [name for name in self._hosts if name.startswith(f"{address} (")]:
            if name not in names:
                logger.info("worker %s is gone", name)
                del self._hosts[name]
        for name, base in names.items():
            if name not in self._hosts:
                logger.info("worker %s found", name)
                self._hosts[name] = Host(name, base, self._tcp, rank)

    def _session(self, connector: BaseConnector) -> ClientSession:
        session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            # TorchServe hands every header on to its worker.
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )
        self._sessions.append(session)
        return session


async def look_up(name: str, port: int) -> list[str]:
    """Return the IP addresses behind a name, in a steady order; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return sorted({str(where[4][0]) for where in found})


def _base(ip: str, port: int) -> str:
    return f"http://[{ip}]:{port}" if ":" in ip else f"http://{ip}:{port}"


def version_order(description: Mapping[str, Any] | None) -> tuple[tuple[int, int | str], ...]:
    """Return what sorts descriptions by version: numbers as numbers, words before them."""
    version = str((description or {}).get("version", ""))
    parts = PARTS.findall(version)
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in parts)
