"""`python -m service` serves with the settings of the environment."""

import sys

from service.errors import ConfigurationError
from service.server import serve
from service.settings import bound_threads, load_settings


def main() -> int:
    """Serve, or say what to change; return the exit status."""
    bound_threads()
    try:
        return serve(load_settings())
    except ConfigurationError as error:
        sys.stderr.write(f"countenance: {error}\n")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
