"""Start of `countenance`: Ctrl-C ends it without a traceback from the first line on."""

import os

from service.errors import EXIT_INTERRUPTED


def main() -> None:
    """Run the command line."""
    try:
        from service.settings import bound_threads

        bound_threads()
        from service.cli import app

        app()
    except KeyboardInterrupt:
        os._exit(EXIT_INTERRUPTED)
