"""The settings, read from the environment here and nowhere else (COUNTENANCE_...)."""

import ipaddress
import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode

from service.bounds import PREFIX, BoundSettings
from service.errors import ConfigurationError

CLIENT_KEY = f"{PREFIX}KEY"  # what the command line sends to a service elsewhere
WORKER = re.compile(r"http://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?/?|unix:/[^,]+")
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SECRET_BYTES = 32  # as many as SHA-256 gives: fewer weaken the signature
Names = Annotated[tuple[str, ...], NoDecode]


def find_model_store() -> Path:
    """Return the folder of the weights that were installed with the code, from any folder."""
    here, package = Path("model_store"), Path(__file__).resolve().parent
    beside = (package / "model_store", package.parent / "model_store")
    return next((store for store in (here, *beside) if store.is_dir()), here)


class Settings(BoundSettings):
    """Every option with its unit; lists are written with commas, as in `a.example,b.example`."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    inference: str = Field(
        "local",
        description="Where the models run: local is this process, else the addresses of workers, "
        "as http://name:8080 or unix:/path.",
    )
    device: str = Field(
        "auto", description="Device of the models: auto (CUDA where there is one), cpu, cuda:0..."
    )
    engine: Literal["auto", "onnxruntime", "torch"] = Field(
        "auto",
        description="What computes the models: auto is ONNX Runtime on a processor and torch on a "
        "GPU.",
    )
    threads: int = Field(
        1,
        ge=1,
        description="Threads of each computation of models in this process; small networks are "
        "slower with several. Independent parts of one photograph are computed side "
        "by side where a core is free.",
    )
    model_store: Path = Field(
        default_factory=find_model_store,
        description="Folder of the weights; by default `model_store` where the service is started, "
        "else the one beside its code.",
    )
    previous_model_store: Path | None = Field(
        None, description="Folder of the weights before these: sessions begun on them go on there."
    )

    redis_url: str | None = Field(
        None,
        description="Redis of the sessions, as redis://host:6379/0 or unix:///path; without one "
        "they live in this process.",
    )
    redis_url_file: Path | None = Field(
        None, description="File that holds redis_url, for one with a password."
    )
    session_ttl_s: float = Field(
        900.0,
        ge=1,
        le=604_800,
        description="How long a session is kept after its last step, in seconds.",
    )
    max_sessions: int = Field(
        1000,
        ge=1,
        description="Most sessions kept in this process; the oldest of who has most make room. In "
        "Redis each principal may have its share of so many.",
    )
    max_session_bytes: int = Field(
        512 * 2**10, ge=1024, description="Largest state and reply of a session, in bytes."
    )
    store_timeout_s: float = Field(
        0.5, gt=0, description="Time for an answer of Redis, in seconds."
    )
    store_outage_s: float = Field(
        30.0, ge=0, description="How long sockets go on without Redis, in seconds."
    )

    api_keys_file: Path | None = Field(
        None, description="TOML file of hashed API keys; needed unless bound to loopback."
    )
    requests_per_minute: int = Field(
        600, ge=1, description="Rate limit of each key that names none, in requests a minute."
    )
    bytes_per_minute: int = Field(
        2**30, ge=1024, description="Bytes a minute of each key that names none."
    )
    pixels_per_minute: int = Field(
        6 * 10**9,
        ge=1_000_000,
        description="Pixels a minute of each key that names none: those of all its pictures.",
    )
    max_share: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Most of what may be at once (uploads, requests, clips, sessions) that one "
        "principal may have, where there are keys.",
    )
    secret_file: Path | None = Field(
        None,
        description="File of 32 random bytes or more, the same for every replica, that signs "
        "tokens and the sessions in Redis. Without one each process signs its own tokens, and "
        "Redis' password the sessions.",
    )
    allowed_hosts: Names = Field(
        (), description="Host names to answer to, without port; *.name and * are understood."
    )
    allowed_origins: Names = Field(
        (), description="Origins of web pages elsewhere that may call, as https://name[:port]."
    )

    otlp_endpoint: str | None = Field(
        None,
        description="Where OpenTelemetry traces go, as http://collector:4318/v1/traces; nowhere "
        "without one.",
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="One JSON object a line, or text."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level to log."
    )

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
