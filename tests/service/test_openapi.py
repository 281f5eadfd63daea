"""The interface's description is true: examples fit, references hold, and nothing is a 500."""

import io
import re

import pytest
import schemathesis
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.affect.replies import AffectClipReply, AffectReply
from service.app import create_app
from service.clips.serving import ANY_TYPE, SOUND_TYPES, VIDEO_TYPES
from service.http.openapi import PICTURE_TYPES
from service.inference import Answer, Question, Readiness
from service.schemas import AlignReply, Models, ProblemBody, Ready, SessionInfo
from service.settings import Settings
from service.track.replies import TrackReply
from tests.service.counting import CountingTracker
from tests.service.feeling import AFFECT, CountingAffect

HOST = {"Host": "localhost"}
PUBLIC = (
    AffectClipReply,
    AffectReply,
    AlignReply,
    Models,
    ProblemBody,
    Ready,
    SessionInfo,
    TrackReply,
)
BODIES = {body.__name__: body for body in PUBLIC}


def _pictures() -> st.SearchStrategy[bytes]:
    """Return real pictures, and pictures cut short."""
    data = io.BytesIO()
    Image.new("RGB", (40, 30)).save(data, "PNG")
    whole = data.getvalue()
    return st.just(whole) | st.integers(0, len(whole)).map(lambda length: whole[:length])


for media_type in PICTURE_TYPES:
    schemathesis.openapi.media_type(media_type, _pictures() | st.binary(max_size=100))
for media_type in (*VIDEO_TYPES, *SOUND_TYPES, ANY_TYPE):
    schemathesis.openapi.media_type(media_type, st.binary(max_size=100))


class Everything(CountingTracker):
    """All three models, which only count."""

    def __init__(self) -> None:
        super().__init__()
        self.affect = CountingAffect()

    async def readiness(self) -> Readiness:
        return await self.affect.readiness()

    async def ask(self, model: str, question: Question) -> Answer:
        return await (self.affect.ask if model == AFFECT else super().ask)(model, question)


app = create_app(Settings(), Everything())
schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=HOST)


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=50, derandomize=True)
def test_whatever_is_sent_the_answer_is_described_and_no_server_error(case):
    response = case.call(headers=HOST)
    # A schema cannot say which bytes are a picture, so refusals of valid ones prove nothing.
    case.validate_response(response, excluded_checks=[positive_data_acceptance])


def test_every_reference_in_the_description_holds():
    described = app.openapi()
    found = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(described)))
    assert found
    assert found <= described["components"]["schemas"].keys()
    assert "#/$defs" not in str(described)


def test_every_answer_of_every_operation_has_an_example():
    for path, operations in app.openapi()["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                contents = response.get("content", {}).items()
                shown = [kind for kind, body in contents if {"example", "examples"} & body.keys()]
                assert shown or status == "204", (path, status)


def test_the_examples_are_what_the_schemas_allow():
    checked = 0
    for _, media in _media(app.openapi()):
        body = BODIES.get(media.get("schema", {}).get("$ref", "").rpartition("/")[2])
        examples = [item["value"] for item in media.get("examples", {}).values()]
        for example in examples + ([media["example"]] if "example" in media else []):
            if body is not None:
                body.model_validate(example)
                checked += 1
    assert checked > 20


def _media(described):
    for path, operations in described["paths"].items():
        for operation in operations.values():
            for response in operation["responses"].values():
                for media in response.get("content", {}).values():
                    yield path, media


def test_every_operation_has_a_short_name_of_its_own_for_generated_clients() -> None:
    schema = create_app(Settings(), CountingTracker()).openapi()
    names = [
        operation["operationId"] for path in schema["paths"].values() for operation in path.values()
    ]
    assert len(names) == len(set(names))
    assert {"align", "affect", "end_tracking", "models"} <= set(names)
