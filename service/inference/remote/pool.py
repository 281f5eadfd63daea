"""Addresses of workers into hosts: names are looked up anew, every address behind one is a host."""

import asyncio
import logging
import random
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from urllib.parse import urlsplit

from aiohttp import BaseConnector, ClientSession, DummyCookieJar, TCPConnector, UnixConnector

from service.inference.remote.hosts import Host
from service.inference.wire import version_order

DEFAULT_PORT = 8080
UNIX = "unix:"
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

logger = logging.getLogger(__name__)


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
        """All that are known now."""
        return list(self._hosts.values())

    async def open(self) -> None:
        """Make connections possible and look names up; a name that is unknown is no error."""
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
        """Weights of the version for new sessions: at the first address, then of the last number.

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
