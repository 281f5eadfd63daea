"""Who answers about a photograph: the models of this machine, or a service elsewhere."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, Self

from service.commands.here import Here, Models
from service.commands.there import There, patiently
from service.media.images import check_pixels, sniff
from service.schemas import AlignReply


@dataclass(frozen=True)
class AlignOptions:
    """How photographs are looked at, in the words of `POST /align`."""

    max_faces: int
    denoise: Literal["auto", "off"]
    min_face_px: int


@dataclass(frozen=True)
class Aligned:
    """The answer about one photograph and, if asked for, the drawn picture as PNG."""

    reply: AlignReply
    overlay: bytes | None


class Aligner(Protocol):
    """Answers about one photograph at a time; raises ServiceError or CallError for a bad one."""

    def __enter__(self) -> Self:
        """Make ready; raises CommandError when that cannot be."""

    def __exit__(self, *_: object) -> None:
        """Let go of everything."""

    def align(self, photo: bytes, draw: bool = False) -> Aligned:
        """Answer about an encoded photograph."""


def choose_aligner(options: AlignOptions, where: Here | There) -> Aligner:
    """The service that is named, or the models of this machine; raises ConfigurationError."""
    if isinstance(where, There):
        return RemoteAligner(where, options)
    return LocalAligner(where.models("align"), options, where.settings().max_pixels)


class LocalAligner:
    """The models of this machine; `max_pixels` a picture."""

    def __init__(self, models: Models, options: AlignOptions, max_pixels: int) -> None:
        self._models = models
        self._options = options
        self._max_pixels = max_pixels

    def __enter__(self) -> Self:
        self._models.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._models.__exit__()

    def align(self, photo: bytes, draw: bool = False) -> Aligned:
        """Answer as `POST /align` does; raises ServiceError."""
        check_pixels(sniff(photo), self._max_pixels)
        options: dict[str, Any] = {
            "boxes": None,
            "include": ["overlay"] if draw else [],
            "max_pixels": self._max_pixels,
            **asdict(self._options),
        }
        answer = self._models.ask("align", {"image": photo}, options)
        return Aligned(AlignReply.model_validate(answer.outputs), answer.outputs.get("overlay"))


class RemoteAligner:
    """A service elsewhere, asked over HTTP."""

    def __init__(self, there: There, options: AlignOptions) -> None:
        self._there = there
        self._how: dict[str, Any] = {
            "max_faces": options.max_faces,
            "min_face_px": options.min_face_px,
            "denoise": options.denoise,
        }
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._client = self._stack.enter_context(self._there.client())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def align(self, photo: bytes, draw: bool = False) -> Aligned:
        """Ask once for the reply and, where it is to be drawn, again for the picture."""
        reply = patiently(lambda: self._client.align(photo, **self._how))
        drawn = patiently(lambda: self._client.draw(photo, **self._how)) if draw else None
        return Aligned(reply, drawn)
