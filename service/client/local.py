"""The service in this process, behind a socket file that nobody else can reach: no port."""

import asyncio
import atexit
import shutil
import socket
import tempfile
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from service.client.wire import UnreachableError
from service.settings import load_settings

if TYPE_CHECKING:
    from service.server import Server

ADDRESS = "http://localhost"
MOST_PLACE = 50  # characters of the folder that the socket's is in
A_DAY_S = 24 * 3600.0
# A file of one's own may be long and large, and who asks may take any time to read the answer.
UNBOUNDED = {
    **{"redis_url": None, "redis_url_file": None, "api_keys_file": None, "otlp_endpoint": None},
    **{"inference": "local", "log_level": "warning", "log_format": "text"},
    **{"requests_per_minute": 2**31, "bytes_per_minute": 2**52, "pixels_per_minute": 2**52},
    **{"max_share": 1.0, "max_clips": 256, "max_uploads": 256, "max_in_flight": 256},
    **{"max_upload_bytes": 2**28, "max_frame_bytes": 2**28, "max_frames_per_s": 10_000.0},
    **{"max_pixels": 2**28, "max_frame_pixels": 2**26, "max_clip_bytes": 2**50},
    **{"max_clip_s": A_DAY_S, "max_clip_pixels": 8192 * 4320, "max_clip_frames": 10_000_000},
    **{"clip_memory_bytes": 3 * 2**30, "clip_cpu_s": 1_000_000, "clip_stall_s": 120.0},
    **{"clip_read_timeout_s": A_DAY_S, "read_timeout_s": A_DAY_S, "read_idle_timeout_s": 600.0},
    **{"inference_timeout_s": 600.0, "step_timeout_s": 600.0, "head_timeout_s": A_DAY_S},
    **{"socket_idle_s": A_DAY_S, "socket_send_s": A_DAY_S, "graceful_stop_s": 1},
}


class LocalService:
    """Runs the service on the event loop that starts it; its models load when they are asked."""

    def __init__(self, model_store: Path | None = None, device: str | None = None) -> None:
        """Check that models can run here, loading nothing; raises ConfigurationError."""
        from service.inference.local import OnDemandInference

        given = {"model_store": model_store, "device": device}
        chosen = {name: value for name, value in given.items() if value is not None}
        self._settings = load_settings(**UNBOUNDED, **chosen)
        self._inference = OnDemandInference.from_settings(self._settings)
        # The address of a socket has about a hundred bytes: a long TMPDIR leaves no room for it.
        place, name = tempfile.gettempdir(), uuid.uuid4().hex
        self._folder = Path(place if len(place) < MOST_PLACE else "/tmp", f"countenance-{name}")
        self.socket = str(self._folder / "socket")
        # Who is interrupted removes the folder while the thread of the service may be making it.
        self._folder_lock = threading.Lock()
        self._is_discarded = False
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; does nothing where that is done. Raises UnreachableError if it fails."""
        from service.server import make_server

        if self._server is None or self._serving is None:
            self._server = make_server(self._settings, self._inference)
            self._server.keeps_signals = False
            self._serving = asyncio.create_task(self._serve(self._server))
        ready = asyncio.ensure_future(self._server.ready.wait())
        await asyncio.wait({ready, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise UnreachableError("the service in this process could not start")

    async def stop(self) -> None:
        """Stop, as soon as what runs has ended."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.wait({self._serving})
        self.discard()

    def discard(self) -> None:
        """Remove the socket's folder, for good."""
        with self._folder_lock:
            self._is_discarded = True
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _serve(self, server: "Server") -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            with self._folder_lock:
                if self._is_discarded:
                    return
                self._folder.mkdir(mode=0o700)
                listener.bind(self.socket)
            atexit.register(self.discard)
            await server.serve(sockets=[listener])
