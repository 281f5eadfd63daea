"""The settings that bound what may come in: sizes, numbers and times."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "COUNTENANCE_"


class BoundSettings(BaseSettings):
    """Bounds of pictures, clips, sessions and connections, each with its unit."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    max_upload_bytes: int = Field(10 * 2**20, ge=1, description="Largest picture file, in bytes.")
    max_pixels: int = Field(
        50_000_000, ge=1, description="Largest picture, in pixels: width x height x frames."
    )
    max_clip_bytes: int = Field(256 * 2**20, ge=1, description="Largest file of a clip, in bytes.")
    max_clip_s: float = Field(600.0, gt=0, description="Longest clip, in seconds.")
    max_clip_pixels: int = Field(
        3840 * 2160, ge=1, description="Largest frame of a clip, in pixels."
    )
    max_clip_frames: int = Field(72_000, ge=1, description="Most frames of a clip, used or not.")
    max_clips: int = Field(
        4, ge=1, description="Most clips that come in or are at work; more are answered 503."
    )
    clip_read_timeout_s: float = Field(
        300.0, gt=0, description="Time for the whole upload of a clip, in seconds."
    )
    clip_memory_bytes: int = Field(
        768 * 2**20, ge=64 * 2**20, description="Memory for reading one clip, in bytes."
    )
    clip_cpu_s: int = Field(
        300, ge=1, description="Processor time for reading one clip, in seconds."
    )
    clip_stall_s: float = Field(
        20.0, gt=0, description="Longest wait for the next pictures of a clip, in seconds."
    )
    max_faces: int = Field(64, ge=1, le=64, description="Most faces of one picture.")
    read_timeout_s: float = Field(30.0, gt=0, description="Time for a whole upload, in seconds.")
    read_idle_timeout_s: float = Field(
        10.0, gt=0, description="Longest pause within an upload, in seconds."
    )
    inference_timeout_s: float = Field(
        30.0, gt=0, description="Time for an answer of the models, waiting included, in seconds."
    )
    step_timeout_s: float = Field(
        8.0, gt=0, description="Time for one step of a live session at the workers, in seconds."
    )
    max_questions: int = Field(
        256, ge=1, description="Most questions at the workers at once; more are answered 503."
    )
    max_connections: int = Field(
        2000, ge=1, description="Most open connections; further ones are answered 503 and closed."
    )
    max_connections_each: int = Field(
        1000,
        ge=1,
        description="Most open connections of one address; as many as there may be in all where a "
        "proxy passes all of them on.",
    )
    head_timeout_s: float = Field(
        10.0,
        gt=0,
        description="Time for the head of a request, from its connection on, in seconds.",
    )
    max_uploads: int = Field(
        128, ge=1, description="Most bodies that come in at once; more are answered 503."
    )
    max_in_flight: int = Field(
        32, ge=1, description="Most requests at work or waiting at once; more are answered 503."
    )
    max_frame_bytes: int = Field(
        2 * 2**20, ge=1, description="Largest frame of a live session, in bytes."
    )
    max_frame_pixels: int = Field(
        8_300_000, ge=1, description="Largest frame of a live session, in pixels."
    )
    max_frames_per_s: float = Field(
        120.0, gt=0, description="Most frames that a socket gets looked at, per second."
    )
    max_sockets: int = Field(16, ge=1, description="Most open sockets of one principal.")
    socket_idle_s: float = Field(
        60.0, gt=0, description="Longest silence of a client on its socket, in seconds."
    )
    socket_send_s: float = Field(
        10.0,
        gt=0,
        description="Time for a client to take a reply from its socket, or a piece of a clip's, in "
        "seconds.",
    )
    graceful_stop_s: int = Field(
        20, ge=0, description="Time for running requests after a stop signal, in seconds."
    )
