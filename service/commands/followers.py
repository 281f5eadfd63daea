"""Who follows faces through a clip: the models of this machine, or a service elsewhere."""

import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from service.client import AsyncCountenance, CallError, ProblemError
from service.client.live import Frame
from service.commands.clips import MOST_SIDE, Shot, encode_small, encode_whole
from service.commands.here import Here
from service.commands.there import There
from service.inference import Inference, Question
from service.live.replies import ErrorReply
from service.options import MIN_FACE_PX, SMOOTHING, STEADY, TRACK_MAX_FACES
from service.schemas import TrackedFace
from service.track.replies import TrackOutputs, TrackReply

MODEL = "track"
MOST_SENT_SIDE = 1920


@dataclass(frozen=True)
class FollowOptions:
    """How faces are followed, in the words of `/track`."""

    max_faces: int = TRACK_MAX_FACES.default
    min_face_px: int = MIN_FACE_PX.default
    steady: bool = STEADY.default
    smoothing: bool = SMOOTHING.default
    variant: str | None = None


@dataclass(frozen=True)
class Seen:
    """One picture and what was seen in it, in pixels of the clip's upright pictures."""

    shot: Shot
    outputs: TrackOutputs


class Follower(Protocol):
    """Follows faces through one clip after the other."""

    def follow(self, shots: AsyncIterator[Shot]) -> AsyncIterator[Seen]:
        """One answer a picture, in order; raises ServiceError or CallError."""


def choose_follower(
    where: Here | There, inference: Inference | None, options: FollowOptions
) -> Follower:
    """The service that is named, or the model of this machine, opened already."""
    if isinstance(where, There):
        return RemoteFollower(where, options)
    assert inference is not None
    return LocalFollower(inference, options)


class LocalFollower:
    """The model of this machine, opened already; it gets the pictures as they are."""

    def __init__(self, inference: Inference, options: FollowOptions) -> None:
        self._inference = inference
        self._options: dict[str, Any] = {
            "max_faces": options.max_faces,
            "min_face_px": options.min_face_px,
            "steady": options.steady,
            "smoothing": options.smoothing,
            "max_pixels": MOST_SIDE**2,
        }
        if options.variant is not None:
            self._options["variant"] = options.variant

    async def follow(self, shots: AsyncIterator[Shot]) -> AsyncIterator[Seen]:
        """One step of the model a picture, its state handed from each to the next."""
        state = None
        async for shot in shots:
            inputs = {"image": encode_whole(shot.picture), "time_s": shot.time_s}
            answer = await self._inference.ask(MODEL, Question(inputs, self._options, state))
            state = answer.state
            outputs = TrackOutputs.model_validate(answer.outputs)
            yield Seen(shot, rescale(outputs, shot.picture.scale))


class RemoteFollower:
    """A service elsewhere, by a socket; pictures go as JPEG, large ones smaller."""

    def __init__(self, there: There, options: FollowOptions) -> None:
        self._there = there
        self._options: dict[str, Any] = {
            "max_faces": options.max_faces,
            "min_face_px": options.min_face_px,
            "steady": options.steady,
            "smoothing": options.smoothing,
            "variant": options.variant,
        }

    async def follow(self, shots: AsyncIterator[Shot]) -> AsyncIterator[Seen]:
        """One session of the service a clip, which is ended with it."""
        name = f"clip-{uuid.uuid4().hex}"
        under_way: deque[tuple[Shot, float]] = deque()

        async def frames() -> AsyncIterator[Frame]:
            async for shot in shots:
                data, factor = encode_small(shot.picture, MOST_SENT_SIDE)
                under_way.append((shot, factor * shot.picture.scale))
                yield data, shot.time_s

        async with AsyncCountenance(self._there.url, self._there.key) as client:
            try:
                async with client.track(name, **self._options) as session:
                    async for reply in session.follow(frames()):
                        shot, scale = under_way.popleft()
                        yield Seen(shot, rescale(_checked(reply), scale))
            finally:
                with suppress(CallError):
                    await client.end_tracking(name)


def _checked(reply: object) -> TrackOutputs:
    """The reply to a picture; raises ProblemError for one that could not be looked at."""
    if isinstance(reply, TrackReply):
        return TrackOutputs.model_construct(
            **{name: getattr(reply, name) for name in TrackOutputs.model_fields}
        )
    if isinstance(reply, ErrorReply):
        told = reply.error
        raise ProblemError(told.type, told.title, told.status, told.detail)
    raise RuntimeError(f"a frame of a file was answered {reply!r}")


def rescale(outputs: TrackOutputs, scale: float) -> TrackOutputs:
    """The same in pixels of the clip, where the picture was `scale` times as large."""
    if scale == 1:
        return outputs
    size = outputs.image
    return outputs.model_copy(
        update={
            "faces": [_rescale_face(face, scale) for face in outputs.faces],
            "image": size.model_copy(
                update={"width": round(size.width / scale), "height": round(size.height / scale)}
            ),
        }
    )


def _rescale_face(face: TrackedFace, scale: float) -> TrackedFace:
    """Pixel centres are whole numbers: half a pixel lies to the left of the first one."""

    def back(value: float) -> float:
        return round((value + 0.5) / scale - 0.5, 2)

    return face.model_copy(
        update={
            "box": tuple(back(value) for value in face.box),
            "landmarks": face.landmarks and [(back(x), back(y)) for x, y in face.landmarks],
        }
    )
