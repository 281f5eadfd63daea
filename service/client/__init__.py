"""Clients of a service: `Countenance` for plain Python, `AsyncCountenance` for asyncio.

    from service.client import Countenance

    with Countenance("http://localhost:8000") as countenance:
        reply = countenance.align(Path("photo.jpg").read_bytes())
        with countenance.track("camera-1") as session:
            for reply in session.follow(frames):
                print(reply.status)

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
