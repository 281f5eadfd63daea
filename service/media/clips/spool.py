"""An upload of any size into a file that has no name, so that it is gone with its process."""

import asyncio
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

WRITE_BYTES = 2**20


@asynccontextmanager
async def spool(chunks: AsyncIterable[bytes]) -> AsyncIterator[BinaryIO]:
    """Write the chunks to a temporary file that only this process and its children can reach.

    Bounds of size and time are those of `chunks`, whose errors pass through.
    """
    with tempfile.TemporaryFile() as file:
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= WRITE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))
        file.flush()
        yield file
