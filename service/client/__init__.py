"""Clients of a service: `Countenance` for plain Python, `AsyncCountenance` for asyncio.

    from service.client import Countenance

    with Countenance("http://localhost:8000") as countenance:
        faces = countenance.align(Path("photo.jpg").read_bytes()).faces
        with countenance.track("camera-1") as session:
            for reply in session.follow(frames):  # pairs of an encoded picture and its time
                print(reply.status)

A clip goes to `affect`, or to `affect_lines` for its frames as soon as they are known; a camera
and a microphone to `affect_live`. What the service refuses is a ProblemError in its own words.
Neither needs the networks nor the web framework of the service.
"""

from service.client.blocking import BlockingAffectSession, BlockingSession, Countenance
from service.client.calls import AsyncCountenance
from service.client.errors import CallError, ProblemError, UnreachableError
from service.client.live import AffectSession, LiveSession

__all__ = [
    "AffectSession",
    "AsyncCountenance",
    "BlockingAffectSession",
    "BlockingSession",
    "CallError",
    "Countenance",
    "LiveSession",
    "ProblemError",
    "UnreachableError",
]
