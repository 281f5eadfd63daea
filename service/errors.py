"""Everything that can go wrong, in one table: a stable name, its HTTP status, its close code."""

from collections.abc import Mapping
from enum import Enum

EXIT_INTERRUPTED = 130  # of a program that Ctrl-C ended
URN = "urn:countenance:problem:"


class Problem(Enum):
    """One row a problem: HTTP status, WebSocket close code, and a title for people.

    The name is the contract: `Problem.NOT_AN_IMAGE` is published as
    `urn:countenance:problem:not-an-image`. Close codes are those of RFC 6455 where one fits, and
    4000 + status otherwise.
    """

    NOT_AN_IMAGE = 415, 1003, "The bytes are not a picture"
    UNSUPPORTED_FORMAT = 415, 1003, "A picture in a format that is not read here"
    UNSUPPORTED_MEDIA_TYPE = 415, 1003, "A body of this content type is not read here"
    EMPTY_BODY = 422, 1007, "The body is empty"
    INVALID_MULTIPART = 422, 1007, "The multipart body cannot be read"
    INVALID_IMAGE = 422, 1007, "The picture cannot be read"
    TRUNCATED_IMAGE = 422, 1007, "The picture ends before it is complete"
    TOO_MANY_PIXELS = 422, 1009, "The picture declares too many pixels"
    NOT_A_CLIP = 415, 1003, "The bytes are neither a video nor sound"
    UNSUPPORTED_CLIP = 415, 1003, "A clip in a format or coding that is not read here"
    INVALID_CLIP = 422, 1007, "The clip cannot be read"
    EMPTY_CLIP = 422, 1007, "The clip holds nothing that can be used here"
    CLIP_TOO_LONG = 422, 1009, "The clip is too long"
    TOO_MANY_STREAMS = 422, 1009, "The clip holds too many streams"
    CLIP_TOO_COSTLY = 422, 1009, "The clip takes more memory or time than a clip may"
    INVALID_BOX = 422, 4422, "A box cannot be used"
    INVALID_TIME = 422, 4422, "The times do not fit one another"
    INVALID_SOUND = 422, 1007, "The sound cannot be used"
    INVALID_REQUEST = 422, 4422, "The request does not fit the interface"
    BODY_TOO_LARGE = 413, 1009, "The body is too large"
    BODY_TOO_SLOW = 408, 4408, "The body came too slowly"
    HEAD_TOO_SLOW = 408, 4408, "The head of the request came too slowly"
    IDLE = 408, 4408, "Nothing came for too long"
    REPLIES_UNREAD = 408, 4408, "The replies are not read"
    NOT_ACCEPTABLE = 406, 4406, "None of the accepted content types is on offer"
    INVALID_HOST = 400, 4400, "The Host header is not one of this service's"
    ORIGIN_NOT_ALLOWED = 403, 4403, "Pages of this origin may not use the service"
    FORWARDED_WITHOUT_KEYS = 403, 4403, "Forwarded requests need API keys to be set up"
    UNAUTHENTICATED = 401, 4401, "A valid API key is needed"
    WRONG_DOOR = 403, 4403, "The token is not for this address"
    RATE_LIMITED = 429, 4429, "This API key has asked too often"
    TOO_MANY_SOCKETS = 429, 4429, "Too many sockets are open at once"
    SESSION_TAKEN = 409, 4409, "Another connection has gone on with the session or ended it"
    WRONG_STEP = 409, 4409, "The session is at another step"
    STORE_UNAVAILABLE = 503, 1013, "The sessions cannot be reached"
    STOPPING = 503, 1012, "This service is stopping; another one will answer"
    OVERLOADED = 503, 1013, "Too many requests are in flight"
    UNAVAILABLE = 503, 1013, "The models are not ready"
    TIMEOUT = 504, 1013, "The models did not answer in time"
    NOT_FOUND = 404, 4404, "There is nothing at this address"
    METHOD_NOT_ALLOWED = 405, 4405, "This address does not know the method"
    HTTP_ERROR = 400, 4400, "The request is not valid HTTP"
    INTERNAL = 500, 1011, "The service failed"

    def __init__(self, status: int, close_code: int, title: str) -> None:
        self.status = status
        self.close_code = close_code
        self.title = title

    @property
    def slug(self) -> str:
        """The stable short name, such as `not-an-image`."""
        return self.name.lower().replace("_", "-")

    @property
    def uri(self) -> str:
        """The stable name as problem+json publishes it."""
        return URN + self.slug


BY_SLUG: Mapping[str, Problem] = {problem.slug: problem for problem in Problem}


class ServiceError(Exception):
    """A request that cannot be answered: which problem, and what was found in this case.

    `detail` is shown to the client: it says what came and what would be right. `headers` go with
    the reply (such as Retry-After); `extensions` become further members of the problem's body.
    """

    def __init__(
        self,
        problem: Problem,
        detail: str,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{problem.slug}: {detail}")
        self.problem = problem
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})


class ConfigurationError(Exception):
    """The service cannot start as configured; the text says what to change."""


def refusal(kind: str, detail: str) -> ServiceError:
    """Turn a handler's error `(type, detail)` into ours; what is unknown counts as internal.

    Details of internal errors stay in the log, as a note of the exception: they may speak of files
    and versions.
    """
    problem = BY_SLUG.get(kind, Problem.INTERNAL)
    if problem is not Problem.INTERNAL:
        return ServiceError(problem, detail)
    error = ServiceError(problem, "the model failed on this input")
    error.add_note(f"{kind}: {detail}")
    return error
