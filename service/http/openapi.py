"""The interface's description: bodies and problems of routes, and what FastAPI leaves out."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from service.errors import Problem
from service.http.body import CLIP_FIELD, FIELD, MULTIPART
from service.http.problems import MEDIA_TYPE
from service.http.replies import NOTES_HEADER
from service.schemas import ProblemBody

COMPONENTS = "#/components/schemas/"
EXAMPLES = ("example", "examples")
SHORT = 200  # the longest example of a part, in characters: landmarks are shown in whole replies
PROBLEM_SCHEMA = {"$ref": f"{COMPONENTS}{ProblemBody.__name__}"}
BINARY = {"type": "string", "format": "binary"}
ANY_TYPE = "application/octet-stream"
ALWAYS = (
    Problem.INVALID_HOST,
    Problem.ORIGIN_NOT_ALLOWED,
    Problem.FORWARDED_WITHOUT_KEYS,
    Problem.INTERNAL,
)
WITH_KEY = (Problem.UNAUTHENTICATED, Problem.RATE_LIMITED)
PICTURE = (
    Problem.BODY_TOO_SLOW,
    Problem.BODY_TOO_LARGE,
    Problem.NOT_AN_IMAGE,
    Problem.UNSUPPORTED_FORMAT,
    Problem.UNSUPPORTED_MEDIA_TYPE,
    Problem.EMPTY_BODY,
    Problem.INVALID_MULTIPART,
    Problem.INVALID_IMAGE,
    Problem.TRUNCATED_IMAGE,
    Problem.TOO_MANY_PIXELS,
)
NOTES_HEADERS = {
    NOTES_HEADER: {
        "description": "The notes of the JSON reply as a JSON list in ASCII, with tables and "
        "drawings, which have no place for them; absent where there are none.",
        "schema": {"type": "string"},
    }
}
MODEL = (Problem.OVERLOADED, Problem.UNAVAILABLE, Problem.TIMEOUT)
# Of a clip that is still being read.
NOT_YET = {"decoded_frames": None, "used_frames": None, "complete": None}
CLIP_PROBLEMS = (
    Problem.NOT_ACCEPTABLE,
    Problem.BODY_TOO_SLOW,
    Problem.BODY_TOO_LARGE,
    Problem.NOT_A_CLIP,
    Problem.UNSUPPORTED_CLIP,
    Problem.UNSUPPORTED_MEDIA_TYPE,
    Problem.EMPTY_BODY,
    Problem.INVALID_MULTIPART,
    Problem.INVALID_CLIP,
    Problem.EMPTY_CLIP,
    Problem.CLIP_TOO_LONG,
    Problem.CLIP_TOO_COSTLY,
    Problem.TOO_MANY_STREAMS,
    Problem.TOO_MANY_PIXELS,
    Problem.INVALID_REQUEST,
    *MODEL,
    *WITH_KEY,
)


def install_openapi(app: FastAPI, routers: Iterable[APIRouter], keys_required: bool) -> None:
    """Let `app.openapi` add what problem responses refer to, and say where keys are needed.

    Generators of clients read it without a warning: they want a server, terms, and every
    operation's keys or that there are none.
    """
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        _, definitions = models_json_schema(
            [(ProblemBody, "serialization")], ref_template=COMPONENTS + "{model}"
        )
        schema["components"]["schemas"].update(definitions["$defs"])
        _restore_examples(schema, routers)
        _show_parts(schema)
        _say_keys(schema, keys_required)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _restore_examples(schema: dict[str, Any], routers: Iterable[APIRouter]) -> None:
    """Put examples in whole: FastAPI leaves out what is null in them, which the schemas ask for."""
    every = (route for router in routers for route in router.routes)
    for route in (route for route in every if isinstance(route, APIRoute)):
        for method in route.methods or ():
            described = schema["paths"][route.path][method.lower()]["responses"]
            for status, response in route.responses.items():
                for kind, media in response.get("content", {}).items():
                    shown = {name: media[name] for name in EXAMPLES if name in media}
                    described[str(status)]["content"][kind].update(shown)


def _show_parts(schema: dict[str, Any]) -> None:
    """Give every part of a reply, such as a pose's angle, its value in the reply's example."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                for media in response.get("content", {}).values():
                    named = [one["value"] for one in media.get("examples", {}).values()]
                    for example in (media.get("example"), *named):
                        _show(schema["components"]["schemas"], media.get("schema", {}), example)


def _show(parts: dict[str, Any], described: dict[str, Any], example: Any) -> None:
    for one in (described, *described.get("anyOf", ())):
        if isinstance(example, list) and example:
            _show(parts, one.get("items", {}), example[0])
        part = parts.get(one.get("$ref", "").removeprefix(COMPONENTS), {})
        if _is_shown_by(part, example):
            for name, field in part.get("properties", {}).items():
                value = example.get(name)
                if value is not None and "$ref" not in field and len(str(value)) <= SHORT:
                    # Set once: of the examples of several routes the first one shows a part.
                    field.setdefault("examples", [value])
                _show(parts, field, value)


def _is_shown_by(part: dict[str, Any], example: Any) -> bool:
    """Tell whether an example is one of this part, and of no other that may stand in its place."""
    if not isinstance(example, dict) or not example.keys() >= set(part.get("required", ())):
        return False
    fields = part.get("properties", {}).items()
    return all(example.get(name) == field["const"] for name, field in fields if "const" in field)


def _say_keys(schema: dict[str, Any], keys_required: bool) -> None:
    if not keys_required:
        schema["components"].pop("securitySchemes", None)
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["security"] = operation.get("security", []) if keys_required else []


def file_body(description: str, form: Mapping[str, Any]) -> dict[str, Any]:
    """Return FastAPI's `openapi_extra` for a form of the schema `form`, or a file's bytes.

    The bytes may be declared as what they are (`image/jpeg`); here they are declared as bytes
    alone, the one type of files that generators of clients know.
    """
    raw = {ANY_TYPE: {"schema": BINARY}}
    content = {MULTIPART: {"schema": {"type": "object", **form}}, **raw}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def one_file(field: str) -> dict[str, Any]:
    """Return the schema of a form that has to have a file in `field`."""
    return {"properties": {field: BINARY}, "required": [field]}


PICTURE_BODY = file_body("The picture, as a form's file or as the body itself.", one_file(FIELD))


def problem_responses(path: str, problems: Iterable[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for these problems and those that any request can meet."""
    by_status: dict[int, list[Problem]] = {}
    for problem in (*problems, *ALWAYS):
        by_status.setdefault(problem.status, []).append(problem)
    return {status: _response(path, found) for status, found in sorted(by_status.items())}


def responses(
    path: str,
    problems: Iterable[Problem],
    example: Any,
    kind: str = "application/json",
    **more: Any,
) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for an answer with an example, and for these problems."""
    answer = {"content": {kind: {"example": example, **more}}}
    return {200: answer, **problem_responses(path, problems)}


def clip_responses(
    path: str,
    description: str,
    model: Any,
    columns: Iterable[str],
    *,
    head: Mapping[str, Any],
    clip: Mapping[str, Any],
    moment: Mapping[str, Any],
    summary: Mapping[str, Any],
    tail: Mapping[str, Any],
    others: Mapping[str, Any] | None = None,
) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for a clip, whole, in lines and as a table with `columns`.

    Examples are put together of their parts; `others` are further media types.
    """
    whole = {**head, **tail, "clip": clip, "frames": [moment], "summary": summary}
    lines: tuple[dict[str, Any], ...] = (
        {"type": "clip", **head, **clip, **NOT_YET},
        {"type": "frame", **moment},
        {"type": "summary", **summary, **tail, "clip": clip},
    )
    texts = {
        "application/x-ndjson": "".join(json.dumps(line) + "\n" for line in lines),
        "text/csv": ",".join(columns) + "\n",
    }
    content = {
        "application/json": {"example": whole},
        **{kind: {"schema": {"type": "string"}, "example": text} for kind, text in texts.items()},
        **(others or {}),
    }
    answer = {"description": description, "model": model, "headers": NOTES_HEADERS}
    return {200: {**answer, "content": content}, **problem_responses(path, CLIP_PROBLEMS)}


def _response(path: str, problems: list[Problem]) -> dict[str, Any]:
    examples = {problem.slug: {"value": _example(path, problem)} for problem in problems}
    content = {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA, "examples": examples}}
    return {"description": "; ".join(problem.title for problem in problems), "content": content}


def _example(path: str, problem: Problem) -> dict[str, Any]:
    body = ProblemBody(
        type=problem.uri,
        title=problem.title,
        status=problem.status,
        detail="What was found in this case, and what would be right.",
        instance=path,
        request_id="6f1d2c5e8b9a4f0d9c3e7a1b2d4f6a8c",
    )
    return body.model_dump(exclude_none=True)


CLIP_BODY = file_body("The clip, as a form's file or as the body itself.", one_file(CLIP_FIELD))
