"""A client as its request is read: its body into files, bounded in size and time; its leaving."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from service.errors import Problem, ServiceError
from service.settings import Settings

Result = TypeVar("Result")
FIELD, CLIP_FIELD = "image", "clip"
MULTIPART = "multipart/form-data"
MULTIPART_OVERHEAD_BYTES = 64 * 1024  # boundaries and heads around a form's files
SPOOL_BYTES = 2**20  # larger files of a form go to disk
UNDECLARED = frozenset({"", "application/octet-stream", "image/*"})


@dataclass(frozen=True)
class Bounds:
    """Bounds of a body's size and time; `what` names it, as in `a picture`."""

    what: str
    most_bytes: int
    time_s: float
    pause_s: float

    @classmethod
    def of_picture(cls, settings: Settings) -> "Bounds":
        """Return the bounds of a picture."""
        pause_s = settings.read_idle_timeout_s
        return cls("a picture", settings.max_upload_bytes, settings.read_timeout_s, pause_s)

    @classmethod
    def of_clip(cls, settings: Settings) -> "Bounds":
        """Return the bounds of a clip."""
        pause_s = settings.read_idle_timeout_s
        return cls("a clip", settings.max_clip_bytes, settings.clip_read_timeout_s, pause_s)


@dataclass(frozen=True)
class Upload:
    """The bytes of one file and the media type that the client declared for them, if any."""

    data: bytes
    media_type: str | None


class _Parser(MultiPartParser):
    """Files of up to `in_memory` bytes are never written to disk."""

    def __init__(
        self, request: Request, chunks: AsyncGenerator[bytes, None], files: int, in_memory: int
    ) -> None:
        super().__init__(
            request.headers,
            chunks,
            max_files=files,
            # Fields beside the files are not read; a few do no harm.
            max_fields=4,
            max_part_size=MULTIPART_OVERHEAD_BYTES,
        )
        # Starlette writes a file to disk from this size on.
        self.spool_max_size = in_memory + 1


async def read_upload(request: Request, settings: Settings) -> Upload:
    """Read the picture of `request`: a raw body, or the multipart field `image`.

    Raises ServiceError: unsupported-media-type before anything is read, body-too-large and
    body-too-slow while reading, empty-body and invalid-multipart after.
    """
    bounds = Bounds.of_picture(settings)
    declared = essence(request.headers.get("content-type", ""))
    if declared == MULTIPART:
        return (await read_files(request, bounds, (FIELD,)))[FIELD]
    return await read_picture(request, bounds, FIELD)


async def read_picture(request: Request, bounds: Bounds, field: str) -> Upload:
    """Read a raw picture; `field` is where a form would have it. Raises as read_upload."""
    declared = essence(request.headers.get("content-type", ""))
    if declared not in UNDECLARED and not declared.startswith("image/"):
        raise ServiceError(
            Problem.UNSUPPORTED_MEDIA_TYPE,
            f"the body is declared as {declared!r}; send a picture as image/jpeg, image/png, "
            f"image/webp or image/bmp, or as the field `{field}` of {MULTIPART}",
        )
    data = b"".join([chunk async for chunk in bounded(request, bounds)])
    if not data:
        raise ServiceError(Problem.EMPTY_BODY, f"the body holds no bytes; send {bounds.what}")
    return Upload(data, None if declared in UNDECLARED else declared)


async def read_part(file: UploadFile, bounds: Bounds) -> Upload:
    """Read one of a form's files into memory; raises ServiceError where it is too large."""
    if (file.size or 0) > bounds.most_bytes:
        raise ServiceError(Problem.BODY_TOO_LARGE, _at_most(bounds))
    return Upload(await file.read(), media_type_of(file))


async def read_files(request: Request, bounds: Bounds, names: Sequence[str]) -> dict[str, Upload]:
    """Read a form's files in the fields `names`, one at least; raises as read_upload."""
    async with open_form(request, bounds, names, in_memory=True) as files:
        return {
            name: Upload(await file.read(), media_type_of(file)) for name, file in files.items()
        }


@asynccontextmanager
async def open_form(
    request: Request, bounds: Bounds, names: Sequence[str], in_memory: bool
) -> AsyncIterator[dict[str, UploadFile]]:
    """Read a form and give its files in the fields `names`, one at least, none of them empty.

    Files that are not kept in memory lie in temporary files until the end of the block.
    """
    most = bounds.most_bytes + MULTIPART_OVERHEAD_BYTES
    chunks = bounded(request, bounds, most)
    try:
        parser = _Parser(request, chunks, len(names), most if in_memory else SPOOL_BYTES)
        form = await parser.parse()
    except MultiPartException as error:
        raise ServiceError(Problem.INVALID_MULTIPART, _explain(error, names)) from error
    try:
        yield _take_files(form, names, bounds)
    finally:
        await form.close()


def essence(content_type: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def media_type_of(file: UploadFile) -> str | None:
    """Return the media type that a form declares for a file, None for none."""
    declared = essence(file.content_type or "")
    return None if declared in UNDECLARED else declared


def _explain(error: MultiPartException, names: Sequence[str]) -> str:
    """Say of a form that cannot be read what would be right."""
    fields = _or(names)
    # The parser's own words, of which the first ones tell which of its bounds was met.
    for begin, right in (
        ("Too many files", f"the form holds too many files: send one in the field {fields}"),
        ("Too many fields", f"the form holds too many fields: send one file, as {fields}"),
        ("Part exceeded", f"a field without a filename is too long: a file, as {fields}, has one"),
        ("Missing boundary", f"the header Content-Type lacks the boundary: {MULTIPART}; boundary="),
    ):
        if error.message.startswith(begin):
            return right
    return f"{error.message} A form with a file in the field {fields} is needed"


def _or(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _take_files(form: FormData, names: Sequence[str], bounds: Bounds) -> dict[str, UploadFile]:
    for name in names:
        if isinstance(text := form.get(name), str):
            raise ServiceError(
                Problem.INVALID_MULTIPART,
                f"the field `{name}` holds the text {text[:60]!r}, not a file with a filename; "
                f"curl reads a file where its name has an @: -F {name}=@FILE",
            )
    for name, text in form.multi_items():
        if isinstance(text, str):
            raise ServiceError(
                Problem.INVALID_MULTIPART,
                f"the field {name[:60]!r} is no file; options go into the address, as in "
                f"?{name[:60]}={text[:60]}",
            )
    files = {name: file for name in names if isinstance(file := form.get(name), UploadFile)}
    if not files:
        found = ", ".join(f"`{name}`" for name in form) or "no fields"
        raise ServiceError(
            Problem.INVALID_MULTIPART,
            f"a file in the field {_or(names)} is needed, with a filename; found {found[:200]}",
        )
    for name, file in files.items():
        if len(form.getlist(name)) > 1:
            raise ServiceError(
                Problem.INVALID_MULTIPART, f"the field `{name}` came more than once; send one"
            )
        if not file.size:
            what = "a picture" if name == FIELD else bounds.what
            raise ServiceError(
                Problem.EMPTY_BODY, f"the field `{name}` holds no bytes; send {what}"
            )
        if file.size > bounds.most_bytes:
            raise ServiceError(Problem.BODY_TOO_LARGE, _at_most(bounds))
    return files


async def bounded(
    request: Request, bounds: Bounds, most_bytes: int | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield the body's chunks; stops with an error as soon as it is too large or too slow.

    `most_bytes` is the body's own bound where that is not its file's.
    """
    limit = bounds.most_bytes if most_bytes is None else most_bytes
    if (declared := _declared_length(request)) is not None and declared > limit:
        raise _cut_short(Problem.BODY_TOO_LARGE, _at_most(bounds))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bounds.time_s
    chunks, received = request.stream(), 0
    while True:
        try:
            # Both bounds: many small pieces could go on for ever below the pause alone.
            async with asyncio.timeout_at(min(deadline, loop.time() + bounds.pause_s)):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise _cut_short(Problem.BODY_TOO_SLOW, _at_rate(bounds, received)) from None
        if chunk is None:
            return
        received += len(chunk)
        if received > limit:
            raise _cut_short(Problem.BODY_TOO_LARGE, _at_most(bounds))
        yield chunk


def _declared_length(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    # `isdigit` alone takes superscripts, which `int` refuses.
    return int(length) if length.isascii() and length.isdigit() else None


def _cut_short(problem: Problem, detail: str) -> ServiceError:
    """Return the error for an upload whose rest will not be read: its connection ends with it."""
    return ServiceError(problem, detail, headers={"Connection": "close"})


def _at_most(bounds: Bounds) -> str:
    return f"{bounds.what} may have at most {bounds.most_bytes} bytes; this one has more"


def _at_rate(bounds: Bounds, received: int) -> str:
    return (
        f"{received} bytes came; an upload may take {bounds.time_s:g} s and pause for "
        f"{bounds.pause_s:g} s"
    )


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Return what `work` returns; cancel it and raise ClientDisconnect when the client goes first.

    The body of `request` must have been read to its end. When the caller is cancelled, so is the
    work.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        # What the work holds, such as its place in a queue, is let go of before anything goes on.
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
