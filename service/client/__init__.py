"""Clients of a service: `Countenance` for plain Python, `AsyncCountenance` for asyncio.

    from service.client import Countenance

    with Countenance("http://localhost:8000") as countenance:  # or in this process: Countenance()
        faces = countenance.align("photo.jpg").faces
        with countenance.track_live("camera-1") as session:
            for reply in session.follow(frames):  # pairs of a picture and its time
                print(reply.status)

Pictures are paths, encoded bytes or arrays. A clip, a path or an open file, goes to `track` or
`affect`, or to `track_lines` or `affect_lines` for its frames as soon as they are known; a camera
and a microphone to `track_live` and `affect_live`. What the service refuses is a ProblemError in
its own words. For a service elsewhere neither networks nor web framework are needed.
"""

from service.client.blocking import BlockingAffectSession, BlockingSession, Countenance
from service.client.calls import AsyncCountenance
from service.client.live import AffectSession, LiveSession
from service.client.wire import CallError, ProblemError, UnreachableError

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
