"""Who answers for the command line: the models of this machine, or a service elsewhere."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import httpx
from pydantic import ValidationError

from service.commands.console import CommandError
from service.errors import BY_SLUG, URN, ServiceError
from service.inference import Inference, Question
from service.media.images import check_pixels, sniff
from service.schemas import AlignReply

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class AlignOptions:
    """How photographs are looked at, in the words of `POST /align`."""

    max_faces: int
    denoise: str
    min_face_px: int


@dataclass(frozen=True)
class Aligned:
    """The answer about one photograph and, if asked for, the drawn picture as PNG."""

    reply: AlignReply
    overlay: bytes | None


class Aligner(Protocol):
    """Answers about one photograph at a time; raises ServiceError for one that cannot be read."""

    def __enter__(self) -> Self:
        """Make ready; raises CommandError when that cannot be."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Let go of everything."""

    def align(self, photo: bytes, draw: bool = False) -> Aligned:
        """Answer about an encoded photograph."""


class LocalAligner:
    """The models of this machine, behind what the service itself asks; `max_pixels` a picture."""

    def __init__(self, inference: Inference, options: AlignOptions, max_pixels: int) -> None:
        self._inference = inference
        self._options = options
        self._max_pixels = max_pixels
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        try:
            self._runner.run(self._inference.open())
        except BaseException as error:
            self._runner.close()
            if isinstance(error, OSError | ValueError):
                raise CommandError(f"the models cannot be loaded: {error}") from error
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._runner.run(self._inference.close())
        self._runner.close()

    def align(self, photo: bytes, draw: bool = False) -> Aligned:
        check_pixels(sniff(photo), self._max_pixels)
        options: dict[str, Any] = {
            "boxes": None,
            "max_faces": self._options.max_faces,
            "denoise": self._options.denoise,
            "include": ["overlay"] if draw else [],
            "min_face_px": self._options.min_face_px,
            "max_pixels": self._max_pixels,
        }
        answer = self._runner.run(self._inference.ask("align", Question({"image": photo}, options)))
        return Aligned(AlignReply.model_validate(answer.outputs), answer.outputs.get("overlay"))


class RemoteAligner:
    """A service at `url`, asked over HTTP; `key` is the API key that it wants, if any."""

    def __init__(self, url: str, options: AlignOptions, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._query: dict[str, str | int] = {
            "max_faces": options.max_faces,
            "denoise": options.denoise,
            "min_face": options.min_face_px,
        }
        self._client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._client.close()

    def align(self, photo: bytes, draw: bool = False) -> Aligned:
        body = self._ask(photo, "application/json")
        try:
            reply = AlignReply.model_validate_json(body)
        except ValidationError as error:
            raise CommandError(
                f"{self._client.base_url} gave no answer of ours: {error}"
            ) from error
        return Aligned(reply, self._ask(photo, "image/png") if draw else None)

    def _ask(self, photo: bytes, accept: str) -> bytes:
        try:
            response = self._client.post(
                "align",
                params=self._query,
                files={"image": photo},
                headers={"Accept": accept},
            )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise CommandError(f"no answer from {self._client.base_url}: {error}") from error
        if response.is_success:
            return response.content
        raise _refusal(response)


def _refusal(response: httpx.Response) -> Exception:
    """A problem that another photograph would not have, or the end of the work."""
    try:
        body = response.json()
        problem = BY_SLUG[body["type"].removeprefix(URN)]
        detail = str(body["detail"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return CommandError(f"{response.url} answered {response.status_code}, not as ours do")
    if problem.status in {401, 403, 404}:
        return CommandError(f"{problem.title}: {detail}")
    return ServiceError(problem, detail)
