"""What a service sends, by its kinds, from sockets and from the lines of a clip's answer."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

from pydantic import TypeAdapter

from service.affect.clip_replies import AffectFrameLine, AffectSummaryLine
from service.affect.replies import AffectReply
from service.client.errors import ProblemError
from service.clips.replies import ClipLine, ErrorLine
from service.live.messages import DroppedReply, ErrorInfo, ErrorReply
from service.track.clip_replies import TrackFrameLine, TrackSummaryLine
from service.track.replies import TrackReply

Reply = TypeVar("Reply")
Said = TypeVar("Said")
# What reads one line of a clip's answer.
Lines = Callable[[str], Said]

TrackAnswer = TrackReply | DroppedReply | ErrorReply
AffectAnswer = AffectReply | DroppedReply | ErrorReply
TrackLine = ClipLine | TrackFrameLine | TrackSummaryLine
AffectLine = ClipLine | AffectFrameLine | AffectSummaryLine

_TRACK: TypeAdapter[TrackAnswer] = TypeAdapter(TrackAnswer)
_AFFECT: TypeAdapter[AffectAnswer] = TypeAdapter(AffectAnswer)
_TRACK_LINE: TypeAdapter[TrackLine | ErrorLine] = TypeAdapter(TrackLine | ErrorLine)
_AFFECT_LINE: TypeAdapter[AffectLine | ErrorLine] = TypeAdapter(AffectLine | ErrorLine)


def read_track(text: str) -> TrackAnswer | ErrorInfo:
    """The answer to a frame of `track`, or what is wrong with another message."""
    return _answer(_TRACK.validate_json(text))


def read_affect(text: str) -> AffectAnswer | ErrorInfo:
    """The answer to a frame of `affect`, or what is wrong with another message."""
    return _answer(_AFFECT.validate_json(text))


def _answer(reply: Reply) -> Reply | ErrorInfo:
    if isinstance(reply, ErrorReply) and reply.sequence is None:
        return reply.error
    return reply


def track_lines(text: str) -> TrackLine:
    """A line of a tracked clip; raises ProblemError for the one that ends it early."""
    line = _TRACK_LINE.validate_json(text)
    return _refuse(line) if isinstance(line, ErrorLine) else line


def affect_lines(text: str) -> AffectLine:
    """A line of a clip's affect; raises ProblemError for the one that ends it early."""
    line = _AFFECT_LINE.validate_json(text)
    return _refuse(line) if isinstance(line, ErrorLine) else line


def _refuse(line: ErrorLine) -> NoReturn:
    told = line.error
    raise ProblemError(told.type, told.title, told.status, told.detail)
