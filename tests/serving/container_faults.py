"""Containers die while sessions are live: what the clients see."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Mapping

from tests.serving.container_rights import Promise
from tests.serving.containers import PROJECT, Engine
from tests.serving.crowd import Crowd, Damage
from tests.serving.servers import wait_until

SESSIONS, RATE_HZ = 12, 4.0
WATCHED_S, STOP_S = 3.0, 20.0


def try_faults(engine: Engine, headers: Mapping[str, str]) -> Iterator[Promise]:
    """Kill and stop containers of a deployment with two services and two models, in turn."""
    faults = Faults(engine, headers)
    yield from asyncio.run(faults.killed("models"))
    yield from asyncio.run(faults.killed("service", in_flight=SESSIONS // 2))
    yield from asyncio.run(faults.killed("redis", resets=SESSIONS))
    yield from asyncio.run(faults.stopped())


class Faults:
    """A deployment, and clients who know its key; each fault meets new sessions."""

    def __init__(self, engine: Engine, headers: Mapping[str, str]) -> None:
        self._engine, self._headers = engine, headers

    async def killed(self, name: str, resets: int = 0, in_flight: int = 0) -> list[Promise]:
        """Kill a container; so many sessions start anew, so many frames are lost at the most."""
        async with self._crowd() as crowd:
            since_s, before = time.monotonic(), len(self._engine.names(name))
            kill(self._engine, self._engine.names(name)[0])
            await asyncio.sleep(WATCHED_S)
            await asyncio.to_thread(wait_until, lambda: len(self._engine.names(name)) == before)
            damage = await damage_done(crowd, since_s)
        kept = damage.unanswered <= in_flight and damage.statuses["reset"] == resets
        return [(f"a container of {name} killed", kept, damage)]

    async def stopped(self) -> list[Promise]:
        """Stop one of two services."""
        async with self._crowd() as crowd:
            since_s, service = time.monotonic(), self._engine.names("service")[0]
            await asyncio.to_thread(self._engine.podman, "stop", "--time=30", service)
            seconds = time.monotonic() - since_s
            damage = await damage_done(crowd, since_s)
        codes = {code for client in crowd.clients for code in client.closes}
        kept = (damage.unanswered, damage.statuses["reset"]) == (0, 0)
        return [
            ("a service stops in time", seconds < STOP_S, f"{seconds:.1f} s"),
            ("it says 1012", codes == {1012}, codes),
            ("and answers what was sent", kept, damage),
        ]

    def _crowd(self) -> Crowd:
        services = [address_of(self._engine, name) for name in self._engine.names("service")]
        return Crowd([f"ws://{ip}:8000/track" for ip in services], SESSIONS, RATE_HZ, self._headers)


async def damage_done(crowd: Crowd, since_s: float) -> Damage:
    """What there was of it when everybody has been answered twice again."""
    for _ in range(2):
        await crowd.until_answered()
    return crowd.damage(since_s)


def kill(engine: Engine, container: str) -> None:
    """Kill the first process of a container, as if memory had run out; it is started again."""
    os.kill(engine.look(container)["State"]["Pid"], signal.SIGKILL)


def address_of(engine: Engine, container: str) -> str:
    """The address of a container in the network that is not closed."""
    networks = engine.look(container)["NetworkSettings"]["Networks"]
    return str(networks[f"{PROJECT}_front"]["IPAddress"])
