"""A request's body into the bytes of one picture, bounded in size and time while it is read."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from service.errors import Problem, ServiceError
from service.settings import Settings

FIELD = "image"
MULTIPART = "multipart/form-data"
MULTIPART_OVERHEAD_BYTES = 64 * 1024
UNDECLARED = frozenset({"", "application/octet-stream", "image/*"})


@dataclass(frozen=True)
class Upload:
    """The bytes of one file and the media type that the client declared for them, if any."""

    data: bytes
    media_type: str | None


class _InMemoryParser(MultiPartParser):
    """Pictures are never written to disk: the body's own bound is the bound of the memory."""

    def __init__(self, request: Request, chunks: AsyncGenerator[bytes, None], size: int) -> None:
        super().__init__(
            request.headers,
            chunks,
            max_files=1,
            max_fields=4,
            max_part_size=MULTIPART_OVERHEAD_BYTES,
        )
        self.spool_max_size = size + 1


async def read_upload(request: Request, settings: Settings) -> Upload:
    """Read the picture of `request`: a raw body, or the multipart field `image`.

    Raises ServiceError: unsupported-media-type before anything is read, body-too-large and
    body-too-slow while reading, empty-body and invalid-multipart after.
    """
    declared = essence(request.headers.get("content-type", ""))
    if declared == MULTIPART:
        return await _read_multipart(request, settings)
    if declared not in UNDECLARED and not declared.startswith("image/"):
        raise ServiceError(
            Problem.UNSUPPORTED_MEDIA_TYPE,
            f"the body is declared as {declared!r}; send a picture as image/jpeg, image/png, "
            f"image/webp or image/bmp, or as the field `{FIELD}` of {MULTIPART}",
        )
    limit = settings.max_upload_bytes
    data = b"".join([chunk async for chunk in _bounded(request, settings, limit)])
    return _upload(data, declared, "the body")


def essence(content_type: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


async def _read_multipart(request: Request, settings: Settings) -> Upload:
    limit = settings.max_upload_bytes
    chunks = _bounded(request, settings, limit + MULTIPART_OVERHEAD_BYTES)
    try:
        form = await _InMemoryParser(request, chunks, limit + MULTIPART_OVERHEAD_BYTES).parse()
    except MultiPartException as error:
        raise ServiceError(Problem.INVALID_MULTIPART, error.message) from error
    try:
        upload = await _take_file(form)
    finally:
        await form.close()
    if len(upload.data) > limit:
        raise ServiceError(Problem.BODY_TOO_LARGE, _at_most(limit))
    return upload


async def _take_file(form: FormData) -> Upload:
    file = form.get(FIELD)
    if not isinstance(file, UploadFile):
        found = ", ".join(f"`{name}`" for name in form) or "no fields"
        raise ServiceError(
            Problem.INVALID_MULTIPART,
            f"a file in the field `{FIELD}` is needed, with a filename; found {found[:200]}",
        )
    return _upload(await file.read(), essence(file.content_type or ""), f"the field `{FIELD}`")


async def _bounded(request: Request, settings: Settings, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body's chunks; stops with an error as soon as it is too large or too slow."""
    if (declared := _declared_length(request)) is not None and declared > limit:
        raise _cut_short(Problem.BODY_TOO_LARGE, _at_most(settings.max_upload_bytes))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.read_timeout_s
    chunks, received = request.stream(), 0
    while True:
        try:
            async with asyncio.timeout_at(
                min(deadline, loop.time() + settings.read_idle_timeout_s)
            ):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise _cut_short(Problem.BODY_TOO_SLOW, _at_rate(settings, received)) from None
        if chunk is None:
            return
        received += len(chunk)
        if received > limit:
            raise _cut_short(Problem.BODY_TOO_LARGE, _at_most(settings.max_upload_bytes))
        yield chunk


def _declared_length(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _upload(data: bytes, declared: str, what: str) -> Upload:
    if not data:
        raise ServiceError(Problem.EMPTY_BODY, f"{what} holds no bytes; send a picture")
    return Upload(data, None if declared in UNDECLARED else declared)


def _cut_short(problem: Problem, detail: str) -> ServiceError:
    """Return the error for an upload whose rest will not be read: its connection ends with it."""
    return ServiceError(problem, detail, headers={"Connection": "close"})


def _at_most(limit: int) -> str:
    return f"a picture may have at most {limit} bytes; this one has more"


def _at_rate(settings: Settings, received: int) -> str:
    return (
        f"{received} bytes came; an upload may take {settings.read_timeout_s:g} s and pause for "
        f"{settings.read_idle_timeout_s:g} s"
    )
