"""Values of each schema of a description, for the programs beside this file."""

import json
import os

DESCRIPTION = json.load(open(os.environ["OUTSIDE_DESCRIPTION"], encoding="utf-8"))
SCHEMAS = DESCRIPTION["components"]["schemas"]


def example(schema):
    """A value with all that a schema names."""
    if "$ref" in schema:
        return example(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if "example" in schema:
        return schema["example"]
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "oneOf" in schema:
        return next(example(one) for one in schema["oneOf"] if one.get("type") != "null")
    kind = schema.get("type")
    kind = next(one for one in kind if one != "null") if isinstance(kind, list) else kind
    if kind == "array":
        return [example(schema["items"])]
    if kind == "object":
        return {name: example(part) for name, part in schema.get("properties", {}).items()}
    return {"integer": max(1, schema.get("minimum", 1)), "boolean": True, "string": "words"}[kind]


def objects():
    """The name of each schema that has fields, and a value of it."""
    return [(name, example(schema)) for name, schema in SCHEMAS.items() if "properties" in schema]


def operations():
    """Each operation."""
    return [operation for item in DESCRIPTION["paths"].values() for operation in item.values()]


def answers(operation):
    """Each status of an operation, with its media type, schema and an example; none of them where there is no body."""
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if not content:
            yield status, None, None, None
        for media_type, one in content.items():
            yield status, media_type, one["schema"], example(one["schema"])
