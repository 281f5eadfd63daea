"""Every error is a problem with a stable type, and every request leaves an id and one line."""

import json
import logging
import re

import pytest

from service.errors import URN
from service.telemetry import JsonFormatter, TextFormatter, fields

MEDIA_TYPE = "application/problem+json"


async def test_an_unknown_address_is_a_problem(client):
    reply = await client.get("/nothing-here")
    assert (reply.status_code, reply.headers["content-type"]) == (404, MEDIA_TYPE)
    body = reply.json()
    assert body["type"] == URN + "not-found"
    assert body["instance"] == "/nothing-here"
    assert body["request_id"] == reply.headers["x-request-id"]


async def test_a_wrong_method_is_a_problem_that_names_the_right_one(client):
    reply = await client.get("/align")
    assert (reply.status_code, reply.headers["content-type"]) == (405, MEDIA_TYPE)
    assert reply.headers["allow"] == "POST"


async def test_an_unforeseen_error_is_a_500_that_tells_nothing_of_the_inside(
    post, inference, picture, caplog
):
    inference.error = RuntimeError("/secret/path")
    reply = await post(picture())
    assert (reply.status_code, reply.headers["content-type"]) == (500, MEDIA_TYPE)
    assert reply.json()["type"] == URN + "internal"
    assert "secret" not in reply.text
    assert "/secret/path" in caplog.text


@pytest.mark.parametrize("given", ["abc-123", "A.b_c", "a" * 128])
async def test_a_plain_request_id_is_kept(client, given):
    reply = await client.get("/health/live", headers={"X-Request-ID": given})
    assert reply.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "a\tb", '{"a":1}', "é"])
async def test_any_other_request_id_is_replaced(client, given):
    headers = [(b"X-Request-ID", given.encode())]
    reply = await client.get("/health/live", headers=headers)
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])


async def test_a_request_is_one_line_with_its_id_and_without_its_query(post, picture, caplog):
    with caplog.at_level(logging.INFO, "service"):
        reply = await post(picture(), boxes="1,2,30,40")
    (record,) = [record for record in caplog.records if record.getMessage() == "request"]
    known = record.fields
    assert (known["method"], known["route"], known["status"]) == ("POST", "/align", 200)
    assert known["bytes_in"] == len(picture())
    assert known["bytes_out"] == len(reply.content)
    assert "30" not in str(known["path"])


def test_a_json_line_is_one_line_whatever_is_logged():
    record = logging.LogRecord("a.b", logging.INFO, "", 0, "two\nlines %s", ("x",), None)
    record.__dict__.update(fields(path="/é\n", count=3))
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line) | {"time": ""} == {
        "time": "",
        "level": "info",
        "event": "two\nlines x",
        "logger": "a.b",
        "path": "/é\n",
        "count": 3,
    }


def test_a_text_line_names_what_is_known():
    record = logging.LogRecord("a.b", logging.INFO, "", 0, "done", (), None)
    record.__dict__.update(fields(status=200))
    assert TextFormatter().format(record).endswith("info    done  logger=a.b status=200")


async def test_readiness_tells_the_device_and_the_models(client):
    ready = (await client.get("/health/ready")).json()
    assert ready.pop("limits")["clip_s"] == 600.0
    assert ready == {
        "status": "ready",
        "device": "cpu",
        "models": ["align"],
        "absent": {},
        "store": {"kind": "memory", "ready": True, "reason": None},
    }


async def test_a_service_whose_models_are_not_loaded_is_not_ready_but_alive(client, inference):
    inference.ready = False
    reply = await client.get("/health/ready")
    assert (reply.status_code, reply.headers["content-type"]) == (503, MEDIA_TYPE)
    assert (reply.json()["detail"], reply.json()["device"]) == ("still loading", "cpu")
    assert (await client.get("/health/live")).json() == {"status": "alive"}


async def test_models_are_listed_with_version_and_hash(client):
    (model,) = (await client.get("/models")).json()["models"]
    assert (model["name"], model["version"], len(model["sha256"])) == ("align", "0.1.0", 64)


async def test_metrics_count_requests_faces_stages_and_bytes(client, picture):
    await client.post("/align", content=picture())
    await client.get("/nothing/here")
    text = (await client.get("/metrics")).text
    assert 'countenance_requests_total{method="POST",route="/align",status="200"} 1.0' in text
    assert 'countenance_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert 'countenance_faces_total{model="align"} 1.0' in text
    assert 'countenance_stage_seconds_count{model="align",stage="detect"} 1.0' in text
    assert f'countenance_bytes_total{{direction="in"}} {float(len(picture()))}' in text
    assert "countenance_in_flight 0.0" in text


async def test_metrics_of_two_applications_are_apart(make_client):
    first, second = make_client(), make_client()
    await first.get("/models")
    assert 'route="/models"' not in (await second.get("/metrics")).text


async def test_a_method_of_a_client_s_own_makes_no_series_of_its_own(client):
    await client.request("BREW", "/align")
    text = (await client.get("/metrics")).text
    assert "BREW" not in text


async def test_the_documentation_loads_nothing_from_elsewhere(client):
    page = (await client.get("/docs")).text
    assert "//" not in page.replace("<!doctype html>", "")
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (await client.get("/" + path)).status_code == 200, path
