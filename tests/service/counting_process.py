"""A process of its own that serves the counting model on the Redis it is given; prints its port."""

import asyncio
import sys

from service.server import make_server
from service.settings import Settings
from tests.service.counting import CountingTracker


async def main(redis_url: str) -> None:
    """Serve until a signal; print the port once connections are taken."""
    server = make_server(Settings(port=0, redis_url=redis_url), CountingTracker())
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
