"""The public bodies, every field with its unit; coordinates are pixels of the upright picture."""

import base64
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

POINTS = 68  # the iBUG scheme's
Finite = Annotated[float, Field(allow_inf_nan=False)]
# Figures are rounded to what they mean: 0.01 pixels and degrees, 0.0001 of a share, 1 us, 0.01 ms.
Pixels = Annotated[Finite, AfterValidator(lambda value: round(value, 2))]
Degrees = Annotated[Finite, AfterValidator(lambda value: round(value, 2))]
Millimetres = Annotated[Finite, AfterValidator(lambda value: round(value, 1))]
Number = Annotated[Finite, AfterValidator(lambda value: round(value, 4))]
Share = Annotated[Finite, Field(ge=0, le=1), AfterValidator(lambda value: round(value, 4))]
Signed = Annotated[Finite, Field(ge=-1, le=1), AfterValidator(lambda value: round(value, 4))]
Scale = Annotated[Finite, AfterValidator(lambda value: float(f"{value:.6g}"))]
# Rounded on the way out alone: inside, times are compared and subtracted.
Seconds = Annotated[
    Finite, PlainSerializer(lambda value: round(value, 6), return_type=float, when_used="json")
]
Milliseconds = Annotated[
    Finite, PlainSerializer(lambda value: round(value, 2), return_type=float, when_used="json")
]
TimingsMs = Annotated[
    dict[str, Milliseconds], Field(description="Time of each stage, in milliseconds.")
]
Box = tuple[Pixels, Pixels, Pixels, Pixels]
Point = tuple[Pixels, Pixels]
Landmarks = Annotated[
    list[tuple[Finite, Finite]],
    Field(min_length=POINTS, max_length=POINTS),
    AfterValidator(lambda points: [(round(x, 2), round(y, 2)) for x, y in points]),
]
Shares = Annotated[
    dict[str, Annotated[Finite, Field(ge=0, le=1)]],
    AfterValidator(lambda shares: {name: round(value, 4) for name, value in shares.items()}),
]


def png_data_url(value: object) -> object:
    """Turn the bytes of a PNG into a data URL; anything else is left for the schema to judge."""
    if isinstance(value, bytes):
        return "data:image/png;base64," + base64.b64encode(value).decode()
    return value


DataUrl = Annotated[str, BeforeValidator(png_data_url)]


class Body(BaseModel):
    """Base of all public bodies: errors do not quote what was found, it may be a picture."""

    model_config = ConfigDict(populate_by_name=True, hide_input_in_errors=True)


class ModelVersion(Body):
    """The weights that answered."""

    name: str = Field(description="Name of the model, such as `align`.")
    version: str = Field(description="Version of the model's weights and code.")
    sha256: str = Field(description="SHA-256 of the weights, hexadecimal.")


class ImageInfo(Body):
    """The picture that was read from the body."""

    width: int = Field(description="Width of the upright picture, in pixels.")
    height: int = Field(description="Height of the upright picture, in pixels.")
    format: str = Field(description="Format of the bytes, such as JPEG or HEIC.")
    rotated: bool = Field(description="Whether EXIF orientation turned or mirrored the picture.")
    frames: int = Field(description="Frames of an animation; only the first one is looked at.")


class Degradation(Body):
    """The degradation of the face's picture, as the classifier sees it."""

    kind: str = Field(alias="class", description="The likeliest class; `clean` for none.")
    probabilities: dict[str, Share] = Field(description="Probability of each class, in [0, 1].")


class Similarity(Body):
    """The Procrustes similarity `s R(angle) p + t` that takes landmarks to the mean shape."""

    scale: Scale = Field(description="Factor s, in mean-shape units a pixel.")
    rotation_deg: Degrees = Field(description="Angle of rotation R, in degrees.")
    translation: tuple[Number, Number] = Field(description="Vector t, in mean-shape units.")


class Pose(Body):
    """The head's direction, as Euler angles `Rx(pitch) Ry(yaw) Rz(roll)`, and its position.

    Zero is upright and straight at the camera. Angles do not depend on the picture around the face.
    """

    pitch_deg: Degrees = Field(description="In degrees; positive where the head nods down.")
    yaw_deg: Degrees = Field(
        description="In degrees; positive where the nose turns to the picture's left."
    )
    roll_deg: Degrees = Field(
        description="In degrees; positive where the head tilts clockwise in the picture."
    )
    position_mm: tuple[Millimetres, Millimetres, Millimetres] | None = Field(
        None,
        description="The middle of the face from the camera that OpenFace assumes, in millimetres: "
        "to the picture's right, down, away. Its focal length is 500 pixels at 640 x 480.",
    )


class FaceRecord(Body):
    """One face, the same record on all three doors.

    Coordinates are pixels of the upright picture, pixel centres whole numbers.
    """

    box: Box = Field(description="Corners x1, y1, x2, y2 of the box around the face, in pixels.")
    score: Share | None = Field(
        None,
        description="The detector's confidence in [0, 1]; null where it did not look: in a box "
        "that was given, and while a face is followed, when `face_probability` says how sure it "
        "is.",
    )
    landmarks: Landmarks | None = Field(
        description="The 68 landmarks of the iBUG scheme, x and y, in pixels; null while lost."
    )
    pose: Pose | None = Field(None, description="The head's pose; null where it cannot be had.")
    quality: Share | None = Field(
        None, description="How far the landmarks can be trusted, in [0, 1]; null while lost."
    )
    degradation: Degradation | None = Field(
        None, description="What spoils the face's picture; null where it was not asked."
    )
    actions: Shares | None = Field(
        None,
        description="What the face does, by ARKit's names, each in [0, 1]; left and right are the "
        "person's own. Null where the model does not tell.",
    )
    face_probability: Share | None = Field(
        None,
        description="The validator's probability in [0, 1] that this is a face; null where it was "
        "not asked.",
    )


class Face(FaceRecord):
    """One face of a picture."""

    landmarks: Landmarks = Field(
        description="The 68 landmarks of the iBUG scheme, x and y, in pixels."
    )
    quality: Share = Field(description="How far the landmarks can be trusted, in [0, 1].")
    degradation: Degradation = Field(description="What spoils the face's picture.")
    denoised: bool = Field(description="Whether the face was denoised before it was aligned.")
    similarity: Similarity | None = Field(
        description="The similarity to the mean shape; null for landmarks that have none."
    )
    aligned: DataUrl | None = Field(
        None, description="The aligned face as a PNG data URL, with `include=aligned`."
    )
    denoised_face: DataUrl | None = Field(
        None, description="The face as the landmark network saw it, with `include=denoised`."
    )


class TrackedFace(FaceRecord):
    """One face that is followed through a session or a clip."""

    track_id: int = Field(description="Number of the face within its session or clip.")
    status: Literal["tracking", "redetected", "lost"] = Field(
        description="`tracking`: followed, or new; `redetected`: found again by the detector; "
        "`lost`: not seen in this frame, the box is the last valid one."
    )
    lost_probability: Share | None = Field(
        None, description="On `redetected`, the probability that lost the face."
    )


class AlignReply(Body):
    """The faces of one picture."""

    model: ModelVersion
    image: ImageInfo
    notes: list[str] = Field(description="What the client should know, such as skipped frames.")
    faces: list[Face] = Field(description="The faces, best first; empty where there is none.")
    timings_ms: TimingsMs


class ModelInfo(Body):
    """One model that is served; models may tell more than these fields."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="Name of the model.")
    version: str = Field(description="Version of the model.")
    sha256: str = Field(description="SHA-256 of the weights, hexadecimal.")
    licence: str | None = Field(None, description="Terms of the weights.")
    figures: dict[str, Any] = Field(
        default_factory=dict, description="Measured figures, each named with its data and unit."
    )


class Models(Body):
    """Every model that is served."""

    models: list[ModelInfo]


class Live(Body):
    """The process answers."""

    status: str = Field("alive", description="Always `alive`.")


class StoreState(Body):
    """The store of the sessions, and whether it can be reached."""

    kind: str = Field(description="`redis`, or `memory` for this process alone.")
    ready: bool = Field(description="Whether sessions can be read and written now.")
    reason: str | None = Field(None, description="Why not.")


class Limits(Body):
    """The largest files that are taken."""

    picture_bytes: int = Field(description="File of a picture, in bytes.")
    picture_pixels: int = Field(description="Width x height x frames of a picture.")
    clip_bytes: int = Field(description="File of a clip, in bytes.")
    clip_s: float = Field(description="Length of a clip, in seconds.")


class Ready(Body):
    """The service can answer questions."""

    status: str = Field("ready", description="Always `ready`; otherwise the reply is a problem.")
    device: str = Field(description="Device of the models, such as cpu or cuda:0.")
    models: list[str] = Field(description="Names of the models that are loaded.")
    absent: dict[str, str] = Field(
        default_factory=dict, description="Models that are not served, and what they lack."
    )
    store: StoreState
    limits: Limits


class StreamInfo(Body):
    """The state that is kept of one session for one model."""

    model: str = Field(description="Name of the model that the session is stepped by.")
    step: int = Field(description="Steps so far.")
    created: datetime = Field(description="Time of the first connection.")
    updated: datetime = Field(description="Time of the last step or connection.")
    expires: datetime = Field(description="When it is forgotten, unless it is stepped before.")
    state_bytes: int = Field(description="Size of the model's state, in bytes.")


class SessionInfo(Body):
    """All that is kept under a session's name."""

    session: str = Field(description="The session's name.")
    streams: list[StreamInfo]


class FieldProblem(Body):
    """One part of a request that does not fit the interface."""

    where: str = Field(description="Place in the request, such as `query.max_faces`.")
    message: str = Field(description="What is wrong there.")
    input: str = Field(description="What was found, shortened.")


class ProblemBody(Body):
    """An error as RFC 9457 (application/problem+json) has it."""

    type: str = Field(description="Stable name of the problem, a URN; programs compare this.")
    title: str = Field(description="The problem in a few words, the same in every case.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What was found in this case, and what would be right.")
    instance: str = Field(description="The path that was asked.")
    request_id: str = Field(description="Identifies this request in the service's log.")
    errors: list[FieldProblem] | None = Field(
        None, description="The parts that do not fit, for `invalid-request`."
    )
