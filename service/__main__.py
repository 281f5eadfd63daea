"""Two ways in: `python -m service` serves as its environment says, `countenance` is the command."""

import os
import sys

from service.errors import EXIT_INTERRUPTED, ConfigurationError


def main() -> int:
    """Serve, or say what to change; return the exit status."""
    from service.server import serve

    # Before anything brings NumPy, which asks for threads as it is imported.
    from service.settings import bound_threads, load_settings

    bound_threads()
    try:
        return serve(load_settings())
    except ConfigurationError as error:
        sys.stderr.write(f"countenance: {error}\n")
        return 2


def run_command() -> None:
    """Run the command line; Ctrl-C ends it without a traceback from the first line on."""
    try:
        from service.settings import bound_threads

        bound_threads()
        from service.cli import app

        app()
    except KeyboardInterrupt:
        os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    raise SystemExit(main())
