"""Output of the commands: results on stdout, all else on stderr, errors in one line, exit codes."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer
from rich.console import Console

from service.errors import EXIT_INTERRUPTED, ConfigurationError, ServiceError

EXIT_FAILED = 1
EXIT_USAGE = 2
# What the extras bring; any other missing module is a fault of ours and shows its traceback.
EXTRAS = {
    "cv2": "models",
    "numpy": "models",
    "safetensors": "models",
    "onnxruntime": "models",
    "torch": "gpu",
    "lightning_fabric": "train",
    "matplotlib": "train",
    "onnx": "train",
    "onnxscript": "train",
    "pyarrow": "annotate",
    "ray": "annotate",
    "tqdm": "train",
}
out = Console()
err = Console(stderr=True)


class CommandError(Exception):
    """The user's mistake, or something missing on this machine: the text says what to do."""


@contextmanager
def mistakes_explained() -> Iterator[None]:
    """Turn what the user can mend into one line on stderr and exit code 1."""
    try:
        yield
    except (CommandError, ConfigurationError) as error:
        fail(str(error))
    except ServiceError as error:
        fail(f"{error.problem.title}: {error.detail}")
    except KeyboardInterrupt:
        # Files are whole or gone by now; a computation of models would still take its time.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # nobody reads on: typer ends quietly
        raise
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        fail(f"{error.name} is not installed: pip install 'countenance[{EXTRAS[error.name]}]'")


@contextmanager
def as_mistakes(*kinds: type[Exception]) -> Iterator[None]:
    """Raise errors of these kinds, whose texts say what is wrong, as CommandError."""
    try:
        yield
    except kinds as error:
        raise CommandError(str(error)) from error


def fail(message: str, code: int = EXIT_FAILED) -> None:
    """Say why and stop."""
    err.print("[bold red]error:[/] ", end="")
    err.print(message, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def explain(error: Exception) -> str:
    """Return one line for people."""
    if isinstance(error, ServiceError):
        return f"{error.problem.title}: {error.detail}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
