"""The Accept header, as RFC 9110 reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ServiceError
from service.http.replies import choose_media_type

OFFERED = ("application/json", "image/png", "text/csv")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("TEXT/CSV", "text/csv"),
        ("text/html, image/png;q=0.9, */*;q=0.1", "image/png"),
        ("image/png;q=0.5, text/csv;q=0.8", "text/csv"),
        ("application/json;q=0, */*", "image/png"),
        ("text/csv; charset=utf-8", "text/csv"),
        ("image/png;q=0.5, application/json;q=0.5", "application/json"),
    ],
)
def test_the_best_liked_offer_is_chosen(accept, chosen):
    assert choose_media_type(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["video/mp4", "application/json;q=0", "image/png;q=nan", ";;,"])
def test_nothing_on_offer_is_refused(accept):
    with pytest.raises(ServiceError, match="not-acceptable"):
        choose_media_type(accept, OFFERED)


@given(st.text("imagepn/*;,q=01.- x", max_size=60))
def test_any_header_chooses_an_offer_or_is_refused(accept):
    try:
        chosen = choose_media_type(accept, OFFERED)
    except ServiceError as error:
        chosen = error.problem.slug
    assert chosen in (*OFFERED, "not-acceptable")
