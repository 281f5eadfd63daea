"""What a service sends, by its kinds, from sockets and from the lines of a clip's answer."""

from pydantic import TypeAdapter

from service.affect.clip_replies import ClipLine, ErrorLine, FrameLine, SummaryLine
from service.affect.replies import AffectReply, DroppedFrame, FrameError, MessageError
from service.client.errors import ProblemError
from service.live.replies import DroppedReply, ErrorInfo, ErrorReply
from service.track.replies import TrackReply

TrackAnswer = TrackReply | DroppedReply | ErrorReply
AffectAnswer = AffectReply | DroppedFrame | FrameError
AffectLine = ClipLine | FrameLine | SummaryLine

_TRACK: TypeAdapter[TrackAnswer] = TypeAdapter(TrackAnswer)
_AFFECT: TypeAdapter[AffectAnswer | MessageError] = TypeAdapter(AffectAnswer | MessageError)
_LINE: TypeAdapter[AffectLine | ErrorLine] = TypeAdapter(AffectLine | ErrorLine)


def read_track(text: str) -> TrackAnswer | ErrorInfo:
    """The answer to a frame of `track`, or what is wrong with another message."""
    answer = _TRACK.validate_json(text)
    if isinstance(answer, ErrorReply) and answer.sequence is None:
        return answer.error
    return answer


def read_affect(text: str) -> AffectAnswer | ErrorInfo:
    """The answer to a frame of `affect`, or what is wrong with another message."""
    answer = _AFFECT.validate_json(text)
    return answer.error if isinstance(answer, MessageError) else answer


def read_line(text: str) -> AffectLine:
    """A line of a clip's answer; raises ProblemError for the one that ends it early."""
    line = _LINE.validate_json(text)
    if isinstance(line, ErrorLine):
        raise ProblemError(line.problem, line.title, line.status, line.detail)
    return line
