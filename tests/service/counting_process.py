"""A process of its own that serves the counting model on the Redis it is given; prints its port.

A second argument makes states so many bytes larger.
"""

import socket
import sys

from service.server import make_server
from service.settings import Settings
from tests.service.counting import CountingTracker


def main(redis_url: str, padding: str = "0") -> None:
    """Serve until a signal, as the command does; connections wait from the printing of the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        tracker = CountingTracker()
        tracker.padding = bytes(int(padding))
        settings = Settings(redis_url=redis_url, max_sockets=2000)
        make_server(settings, tracker).run([listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
