"""The interface's description: FastAPI's, with the body of a problem among its components."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service.schemas import ProblemBody

COMPONENTS = "#/components/schemas/"
PROBLEM_SCHEMA = {"$ref": f"{COMPONENTS}{ProblemBody.__name__}"}


def install_openapi(app: FastAPI) -> None:
    """Let `app.openapi` add what the routes' problem responses refer to."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        _, definitions = models_json_schema(
            [(ProblemBody, "serialization")], ref_template=COMPONENTS + "{model}"
        )
        schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
