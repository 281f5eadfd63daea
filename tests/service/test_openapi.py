"""The interface's description is true: examples fit, references hold, and nothing is a 500."""

import io
import re
from pathlib import Path

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service.app import create_app
from service.http.body import MULTIPART
from service.http.openapi import ANY_TYPE
from service.inference import Answer, Question, Readiness
from service.keys import new_key
from service.settings import Settings
from tests.service.counting import CountingTracker
from tests.service.feeling import AFFECT, CountingAffect

HOST = {"Host": "localhost"}
JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def _pictures() -> st.SearchStrategy[bytes]:
    """Return real pictures, and pictures cut short."""
    data = io.BytesIO()
    Image.new("RGB", (40, 30)).save(data, "PNG")
    whole = data.getvalue()
    return st.just(whole) | st.integers(0, len(whole)).map(lambda length: whole[:length])


schemathesis.openapi.media_type(ANY_TYPE, _pictures() | st.binary(max_size=100))


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


def test_parts_of_answers_have_short_examples_that_fit_them():
    parts = app.openapi()["components"]["schemas"]
    assert parts["Pose"]["properties"]["yaw_deg"]["examples"] == [4.4]
    assert parts["TrackedFace"]["properties"]["status"]["examples"] == ["tracking"]
    shown = 0
    for part in parts.values():
        for field in part.get("properties", {}).values():
            for example in field.get("examples", ()):
                whole = {"$schema": JSON_SCHEMA, "components": {"schemas": parts}, **field}
                jsonschema_rs.validate(whole, example)
                assert len(str(example)) <= 200
                shown += 1
    assert shown > 100


def test_every_answer_of_every_operation_has_an_example():
    for path, operations in app.openapi()["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                contents = response.get("content", {}).items()
                shown = [kind for kind, body in contents if {"example", "examples"} & body.keys()]
                assert shown or status == "204", (path, status)


def test_the_examples_are_what_the_schemas_allow():
    described = app.openapi()
    checked = 0
    for place, media in _media(described):
        examples = [item["value"] for item in media.get("examples", {}).values()]
        validator = jsonschema_rs.validator_for({**media.get("schema", {}), **_parts(described)})
        for example in examples + ([media["example"]] if "example" in media else []):
            assert not [error.message for error in validator.iter_errors(example)], place
            checked += 1
    assert checked > 20


def _parts(described):
    return {"components": described["components"], "$schema": JSON_SCHEMA}


def _media(described):
    for path, operations in described["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                for kind, media in response.get("content", {}).items():
                    yield (path, status, kind), media


@pytest.mark.parametrize("with_keys", [False, True])
def test_generators_of_clients_meet_nothing_that_they_do_not_know(with_keys: bool, tmp_path: Path):
    keys = tmp_path / "keys.toml"
    keys.write_text(new_key("visitor")[1])
    settings = Settings(api_keys_file=keys) if with_keys else Settings()
    described = create_app(settings, CountingTracker()).openapi()
    OpenAPIV31SpecValidator(described).validate()
    assert described["servers"]
    for path, operations in described["paths"].items():
        for operation in operations.values():
            body = operation.get("requestBody", {"content": {}})["content"]
            assert body.keys() <= {MULTIPART, ANY_TYPE}, path
            assert bool(operation["security"]) == (with_keys and not path.startswith("/health")), (
                path
            )


def test_every_operation_has_a_short_name_of_its_own_for_generated_clients() -> None:
    schema = create_app(Settings(), CountingTracker()).openapi()
    names = [
        operation["operationId"] for path in schema["paths"].values() for operation in path.values()
    ]
    assert len(names) == len(set(names))
    assert {"align", "affect", "end_tracking", "models"} <= set(names)
