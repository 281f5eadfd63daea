"""The interface's description: FastAPI's, made true for problems and for services without keys."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service.schemas import ProblemBody

COMPONENTS = "#/components/schemas/"
PROBLEM_SCHEMA = {"$ref": f"{COMPONENTS}{ProblemBody.__name__}"}


def install_openapi(app: FastAPI, keys_required: bool) -> None:
    """Let `app.openapi` add what problem responses refer to, and drop keys where none is needed."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        _, definitions = models_json_schema(
            [(ProblemBody, "serialization")], ref_template=COMPONENTS + "{model}"
        )
        schema["components"]["schemas"].update(definitions["$defs"])
        if not keys_required:
            _drop_keys(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _drop_keys(schema: dict[str, Any]) -> None:
    schema["components"].pop("securitySchemes", None)
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
