"""The log: one line each, and never a key or a picture in it."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from service.keys import hash_key
from service.settings import Settings
from service.telemetry import JsonFormatter, TextFormatter, configure_logging
from tests.service.counting import CountingTracker, serving, step
from tests.service.test_http_keys import FRAME, bearer


async def test_no_key_and_no_picture_reaches_the_log(make_client, keys, inference, picture, caplog):
    client = make_client(api_keys_file=keys[0])
    inference.error = RuntimeError("a fault in the model")
    with caplog.at_level(logging.DEBUG):
        await client.post("/align", content=picture(), headers=bearer(keys[1]))
        await client.post("/align", content=picture(), headers=bearer("wrong-key"))
    lines = [JsonFormatter().format(record) for record in caplog.records]
    text = "\n".join(lines)
    assert "a fault in the model" in text
    assert keys[1] not in text
    assert "wrong-key" not in text
    assert hash_key(keys[1]) not in text
    assert "JFIF" not in text
    assert [json.loads(line)["status"] for line in lines if '"request"' in line] == [500, 401]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
async def test_a_key_in_an_address_reaches_no_log(make_client, keys, caplog, formatter):
    client = make_client(api_keys_file=keys[0])
    with caplog.at_level(logging.DEBUG):
        for address in (f"/track/{keys[1]}", f"/{keys[1]}/x", f"/models?key={keys[1]}"):
            await client.get(address)
    text = "\n".join(formatter.format(record) for record in caplog.records)
    assert text.count("cnt_***") >= 2
    assert keys[1][4:] not in text


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
async def test_a_log_line_is_one_line_whatever_an_address_holds(make_client, caplog, formatter):
    client = make_client()
    with caplog.at_level(logging.INFO, "service"):
        await client.get("/a%0A%1B%5B31mfaked%C2%9B%E2%80%AEline%7F")
    (line,) = (formatter.format(record) for record in caplog.records)
    assert line.isprintable()
    assert r"\n\u001b[31mfaked\u009b\u202eline\u007f" in line.replace("\\\\", "\\")


def test_a_traceback_in_the_text_log_cannot_pass_for_a_line():
    try:
        raise ValueError("one\n12:00:00.000 info    keys read again\x1b[2J")
    except ValueError:
        record = logging.LogRecord("a", 40, "", 0, "failed", None, sys.exc_info())
    first, *others = TextFormatter().format(record).split("\n")
    assert "failed" in first
    assert all(line.startswith("  | ") and line.isprintable() for line in others)


@pytest.fixture
def talkative() -> Iterator[io.StringIO]:
    """Let the log be as long as it can be; return what is written there."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, ("service", "handlers"))]
    handlers, levels = root.handlers, [logger.level for logger in loggers]
    configure_logging(Settings(log_level="debug"))
    root.handlers[0].stream = text = io.StringIO()
    yield text
    root.handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


async def test_no_key_of_a_socket_reaches_the_log_at_its_most_talkative(keys, talkative):
    path, first, second = keys
    async with serving(CountingTracker(), api_keys_file=path) as service:
        async with service.open(additional_headers=bearer(first)) as socket:
            await step(socket, FRAME)
        offered = ["countenance", f"bearer.{second}"]
        async with service.open(subprotocols=offered) as socket:
            await step(socket, FRAME)
    assert "/track/{session}" in talkative.getvalue()
    assert first not in talkative.getvalue()
    assert second not in talkative.getvalue()
