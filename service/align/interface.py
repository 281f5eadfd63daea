"""What POST /align takes and answers, as its query model and as OpenAPI shows it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.align.examples import ALIGN_REPLY, NO_FACE_REPLY
from service.errors import Problem
from service.http.bodies import BINARY
from service.http.responses import MODEL, PICTURE, WITH_KEY, problem_responses
from service.openface import OPENFACE_COLUMNS, OUR_COLUMNS
from service.options import ALIGN_MAX_FACES, DENOISE, MIN_FACE_PX, MIN_QUALITY
from service.schemas import AlignReply

JSON, PNG, CSV = "application/json", "image/png", "text/csv"
IncludeList = Annotated[
    str, StringConstraints(pattern=r"^(aligned|denoised)(,(aligned|denoised))*$")
]


class AlignQuery(BaseModel):
    """How to look at the picture; names that are not listed here are refused."""

    model_config = ConfigDict(extra="forbid")

    boxes: list[str] = Field(
        default=[],
        description="Face boxes in pixels of the upright picture, one a parameter, such as "
        "`212,141,352,290` (x1, y1, x2, y2), or as JSON, `[[212, 141, 352, 290]]`. They are tight "
        "around the landmarks, and the detector is skipped.",
    )
    max_faces: Annotated[int | None, ALIGN_MAX_FACES.bounds] = None
    denoise: Annotated[Literal["auto", "off"], DENOISE.bounds] = "auto"
    include: list[IncludeList] = Field(
        default=[],
        description="Pictures to put into the JSON reply as PNG data URLs: `aligned`, `denoised`; "
        "repeated or with commas.",
    )
    min_face_px: Annotated[int, MIN_FACE_PX.bounds] = MIN_FACE_PX.default
    min_quality: Annotated[float, MIN_QUALITY.bounds] = MIN_QUALITY.default

    def included(self) -> list[str]:
        """Return the names in `include`, each once, in order."""
        return list(dict.fromkeys(name for item in self.include for name in item.split(",")))


_MODEL_HEADER = {
    "Countenance-Model": {
        "description": "Name and version of the model that answered.",
        "schema": {"type": "string"},
    },
    "X-Request-ID": {
        "description": "Identifies the request in the service's log.",
        "schema": {"type": "string"},
    },
}
ALIGN_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The faces; an empty list where there is none.",
        "model": AlignReply,
        "headers": _MODEL_HEADER,
        "content": {
            JSON: {
                "examples": {
                    "one face": {"value": ALIGN_REPLY},
                    "no face": {"value": NO_FACE_REPLY},
                }
            },
            PNG: {"schema": BINARY},
            CSV: {
                "schema": {"type": "string"},
                "example": ",".join((*OPENFACE_COLUMNS, *OUR_COLUMNS)) + "\n",
            },
        },
    },
    **problem_responses(
        "/align",
        (
            Problem.NOT_ACCEPTABLE,
            *PICTURE,
            Problem.INVALID_BOX,
            Problem.INVALID_REQUEST,
            *MODEL,
            *WITH_KEY,
        ),
    ),
}
