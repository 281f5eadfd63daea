"""The settings, read from the environment here and nowhere else (COUNTENANCE_...)."""

import ipaddress
import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import ConfigurationError

PREFIX = "COUNTENANCE_"
CLIENT_KEY = f"{PREFIX}KEY"  # what the command line sends to a service elsewhere
WORKER = re.compile(r"http://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?/?|unix:/[^,]+")
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SECRET_BYTES = 32  # as many as SHA-256 gives: fewer weaken the signature
# Left as text: pydantic-settings would read JSON, and these have commas.
Names = Annotated[tuple[str, ...], NoDecode]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


def find_model_store() -> Path:
    """Return the folder of the weights that were installed with the code, from any folder."""
    here, package = Path("model_store"), Path(__file__).resolve().parent
    beside = (package / "model_store", package.parent / "model_store")
    return next((store for store in (here, *beside) if store.is_dir()), here)


class Settings(BaseSettings):
    """Every option with its unit; lists are written with commas, as in `a.example,b.example`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """TCP port; 0 takes a free one."""
    inference: str = "local"
    """Where the models run: local is this process, else the addresses of workers, as
    http://name:8080 or unix:/path."""
    device: str = "auto"
    """Device of the models: auto (CUDA where there is one), cpu, cuda:0..."""
    engine: Literal["auto", "onnxruntime", "torch"] = "auto"
    """What computes the models: auto is ONNX Runtime on a processor and torch on a GPU."""
    threads: Count = 1
    """Threads of each computation of models in this process; small networks are slower with
    several. Independent parts of one photograph are computed side by side where a core is free."""
    model_store: Path = Field(default_factory=find_model_store)
    """Folder of the weights; by default `model_store` where the service is started, else the one
    beside its code."""
    previous_model_store: Path | None = None
    """Folder of the weights before these: sessions begun on them go on there."""

    redis_url: str | None = None
    """Redis of the sessions, as redis://host:6379/0 or unix:///path; without one they live in this
    process."""
    redis_url_file: Path | None = None
    """File that holds redis_url, for one with a password."""
    session_ttl_s: Annotated[float, Field(ge=1, le=604_800)] = 900.0
    """How long a session is kept after its last step, in seconds."""
    max_sessions: Count = 1000
    """Most sessions kept in this process; beyond it the oldest session of the principal with the
    most of them makes room. In Redis each principal may have its share of this number."""
    max_session_bytes: Annotated[int, Field(ge=1024)] = 512 * 2**10
    """Largest state and reply of a session, in bytes."""
    store_timeout_s: Positive = 0.5
    """Time for an answer of Redis, in seconds."""
    store_outage_s: Annotated[float, Field(ge=0)] = 30.0
    """How long sockets go on without Redis, in seconds."""

    api_keys_file: Path | None = None
    """TOML file of hashed API keys; needed unless bound to loopback."""
    requests_per_minute: Count = 600
    """Rate limit of each key that names none, in requests a minute."""
    bytes_per_minute: Annotated[int, Field(ge=1024)] = 2**30
    """Bytes a minute of each key that names none."""
    pixels_per_minute: Annotated[int, Field(ge=1_000_000)] = 6 * 10**9
    """Pixels a minute of each key that names none: those of all its pictures."""
    max_share: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Largest share of the uploads, requests, clips and sessions allowed at once that one principal
    may take, where there are keys."""
    secret_file: Path | None = None
    """File of 32 random bytes or more, the same for every replica, that signs tokens and the
    sessions in Redis. Without one each process signs its own tokens, and Redis' password the
    sessions."""
    allowed_hosts: Names = ()
    """Host names to answer to, without port; *.name and * are understood."""
    allowed_origins: Names = ()
    """Origins of web pages elsewhere that may call, as https://name[:port]."""

    otlp_endpoint: str | None = None
    """Where OpenTelemetry traces go, as http://collector:4318/v1/traces; nowhere without one."""
    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or text."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level to log."""

    max_upload_bytes: Count = 10 * 2**20
    """Largest picture file, in bytes."""
    max_pixels: Count = 50_000_000
    """Largest picture, in pixels: width x height x frames."""
    max_clip_bytes: Count = 256 * 2**20
    """Largest file of a clip, in bytes."""
    max_clip_s: Positive = 600.0
    """Longest clip, in seconds."""
    max_clip_pixels: Count = 3840 * 2160
    """Largest frame of a clip, in pixels."""
    max_clip_frames: Count = 72_000
    """Most frames of a clip, used or not."""
    max_clips: Count = 4
    """Most clips that come in or are at work; more are answered 503."""
    clip_read_timeout_s: Positive = 300.0
    """Time for the whole upload of a clip, in seconds."""
    clip_memory_bytes: Annotated[int, Field(ge=64 * 2**20)] = 768 * 2**20
    """Memory for reading one clip, in bytes."""
    clip_cpu_s: Count = 300
    """Processor time for reading one clip, in seconds."""
    clip_stall_s: Positive = 20.0
    """Longest wait for the next pictures of a clip, in seconds."""
    max_faces: Annotated[int, Field(ge=1, le=64)] = 64
    """Most faces of one picture."""
    read_timeout_s: Positive = 30.0
    """Time for a whole upload, in seconds."""
    read_idle_timeout_s: Positive = 10.0
    """Longest pause within an upload, in seconds."""
    inference_timeout_s: Positive = 30.0
    """Time for an answer of the models, waiting included, in seconds."""
    step_timeout_s: Positive = 8.0
    """Time for one step of a live session at the workers, in seconds."""
    max_questions: Count = 256
    """Most questions at the workers at once; more are answered 503."""
    max_connections: Count = 2000
    """Most open connections; further ones are answered 503 and closed."""
    max_connections_each: Count = 1000
    """Most open connections of one address; as many as there may be in all where a proxy passes all
    of them on."""
    head_timeout_s: Positive = 10.0
    """Time for the head of a request, from its connection on, in seconds."""
    max_uploads: Count = 128
    """Most bodies that come in at once; more are answered 503."""
    max_in_flight: Count = 32
    """Most requests at work or waiting at once; more are answered 503."""
    max_frame_bytes: Count = 2 * 2**20
    """Largest frame of a live session, in bytes."""
    max_frame_pixels: Count = 8_300_000
    """Largest frame of a live session, in pixels."""
    max_frames_per_s: Positive = 120.0
    """Most frames that a socket gets looked at, per second."""
    max_sockets: Count = 16
    """Most open sockets of one principal."""
    socket_idle_s: Positive = 60.0
    """Longest silence of a client on its socket, in seconds."""
    socket_send_s: Positive = 10.0
    """Time for a client to take a reply from its socket, or a piece of a clip's, in seconds."""
    graceful_stop_s: Annotated[int, Field(ge=0)] = 20
    """Time for running requests after a stop signal, in seconds."""

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("inference")
    @classmethod
    def _local_or_workers(cls, value: str) -> str:
        for address in value.split(","):
            if value != "local" and not WORKER.fullmatch(address.strip()):
                raise ValueError(
                    f"{address.strip()!r} is no place for models: known are local, "
                    "http://name:port and unix:/path"
                )
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_redis_url(cls, values: Any) -> Any:
        if (path := values.get("redis_url_file")) is None or "redis_url" in values:
            return values
        try:
            return {**values, "redis_url": Path(path).read_text(encoding="utf-8").strip()}
        except OSError as error:
            raise ValueError(f"cannot read the redis_url_file {path}: {error.strerror}") from error

    @model_validator(mode="after")
    def _exposed_needs_protection(self) -> Self:
        if self.on_loopback:
            return self
        if self.api_keys_file is None:
            raise ValueError(
                f"host {self.host} can be reached from elsewhere: set {PREFIX}API_KEYS_FILE "
                "(`python -m service.security NAME` makes an entry), or bind to 127.0.0.1"
            )
        if not self.allowed_hosts:
            raise ValueError(
                f"host {self.host} can be reached from elsewhere: set {PREFIX}ALLOWED_HOSTS "
                "to the names that clients use, or to * for any"
            )
        return self

    @property
    def on_loopback(self) -> bool:
        """Whether only programs on this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def workers(self) -> tuple[str, ...]:
        """Addresses of the workers; none where the models run in this process."""
        if self.inference == "local":
            return ()
        return tuple(address.strip() for address in self.inference.split(","))

    def share_of(self, most: int) -> int:
        """Return one principal's share of `most`; all of it where there are no keys."""
        return most if self.api_keys_file is None else math.ceil(most * self.max_share)

    def read_secret(self) -> bytes | None:
        """Return what the secret's file holds, None without one; raises ConfigurationError."""
        if (path := self.secret_file) is None:
            return None
        try:
            secret = path.read_bytes().strip()
        except OSError as error:
            raise ConfigurationError(f"cannot read the secret {path}: {error.strerror}") from error
        if len(secret) < SECRET_BYTES:
            raise ConfigurationError(
                f"the secret {path} has {len(secret)} bytes; {SECRET_BYTES} at least are needed"
            )
        return secret


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; arguments (from a command line, say) go first.

    Raises ConfigurationError for values that do not fit and for unknown COUNTENANCE_ variables.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    # In any case of letters, as pydantic-settings takes them.
    names = {name.upper() for name in os.environ} - {CLIENT_KEY}
    if unknown := sorted(name for name in names - known if name.startswith(PREFIX)):
        raise ConfigurationError(
            f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_explain(item) for item in error.errors())) from error


def bound_threads() -> None:
    """Let NumPy's products run on one thread, unless whoever runs this says otherwise.

    They are small here: more threads take twice the processor's time for the same answer. It has to
    be said before NumPy is imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def silence_libraries() -> None:
    """Let no library report how it is used, unless whoever runs this wants it to."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def _explain(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    return f"{PREFIX}{name.upper()}: {item['msg']}" if name else str(item["ctx"]["error"])
