"""Clips sent to an application, and what is left behind when it has answered."""

import gc
import os
from pathlib import Path

import httpx

from service.app import create_app
from service.settings import Settings

NDJSON = {"Accept": "application/x-ndjson"}


async def post(model, data, headers=None, options=None, **query) -> httpx.Response:
    """Send a clip to an application of its own with the settings `options`."""
    transport = httpx.ASGITransport(create_app(Settings(**options or {}), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.post("/affect", content=data, headers=headers, params=query)


def children() -> set[int]:
    """Return the processes that this one has started and that are not gone."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
