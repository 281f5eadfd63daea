"""An Accept header into the one media type on offer that the client likes best (RFC 9110)."""

from collections.abc import Sequence

from service.errors import Problem, ServiceError


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered type of the highest quality; earlier offers win ties.

    `accept` is the header's value, None where it was not sent, which accepts anything. The most
    specific range that covers an offer decides its quality. Raises ServiceError (not-acceptable).
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_parse_range(part) for part in accept.lower().split(",")]
    qualities = [_quality(offer, ranges) for offer in offered]
    best = max(qualities)
    if best <= 0:
        raise ServiceError(
            Problem.NOT_ACCEPTABLE, f"Accept is {accept[:100]!r}; on offer are {', '.join(offered)}"
        )
    return offered[qualities.index(best)]


def _parse_range(part: str) -> tuple[str, float]:
    media, *parameters = [piece.strip() for piece in part.split(";")]
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return media, _parse_quality(value.strip())
    return media, 1.0


def _parse_quality(value: str) -> float:
    """Return a quality in [0, 1]; what is none counts as 0."""
    whole, _, digits = value.partition(".")
    if whole not in {"0", "1"} or not (digits == "" or (digits.isascii() and digits.isdigit())):
        return 0.0
    return min(1.0, float(value))


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    group = offer.partition("/")[0] + "/*"
    for pattern in (offer, group, "*/*"):
        found = [quality for media, quality in ranges if media == pattern]
        if found:
            return max(found)
    return 0.0
