#!/usr/bin/env python3
"""Cuts the official documents down to the schemas that tests hold messages to.

usage: cut.py FOLDER    a folder with the documents that README.md names

Writes deepgram.json, openai.json and google.json beside itself: JSON Schemas by name, references
resolved within the file, `nullable` written as JSON Schema has it, descriptions left out.
"""

import json
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).parent
SERVER = "subpackage_listen/v1.listen.v1-server-"


def read(folder, name):
    text = (folder / name).read_text()
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def plain(value, rename):
    """A schema without prose, its references renamed, `nullable` as a type or a choice."""
    if isinstance(value, list):
        return [plain(item, rename) for item in value]
    if not isinstance(value, dict):
        return value
    noise = ("description", "example", "examples", "deprecated", "title", "nullable")
    kept = {
        name: plain(item, rename)
        for name, item in value.items()
        if not (name in noise and not isinstance(item, dict)) and not name.startswith("x-")
    }
    if isinstance(kept.get("$ref"), str):
        kept["$ref"] = "#/schemas/" + rename(kept["$ref"])
    if value.get("nullable") is True:
        return {"anyOf": [kept, {"type": "null"}]}
    return kept


def closed(schema):
    """Google's documents list every field: another one is a mistake."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: closed(item) for name, item in schema.items()}
    if "properties" in schema and "additionalProperties" not in schema:
        kept["additionalProperties"] = False
    return kept


def needed(schemas, roots):
    """The roots, and what they refer to."""
    found, waiting = {}, list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = schemas[name]
        text = json.dumps(schemas[name])
        waiting += [part.split('"')[0] for part in text.split('"#/schemas/')[1:]]
    return found


def write(name, schemas):
    text = json.dumps({"schemas": dict(sorted(schemas.items()))}, indent=1, ensure_ascii=False)
    (HERE / name).write_text(text + "\n")


def last(reference):
    return reference.rsplit("/", 1)[1]


def deepgram(folder):
    live, recorded = read(folder, "deepgram-asyncapi.yml"), read(folder, "deepgram-openapi.yml")
    schemas = {name: plain(one, last) for name, one in live["components"]["schemas"].items()}
    roots = []
    for name, message in live["components"]["messages"].items():
        if name.startswith(SERVER):
            root = "live." + name.rsplit("-ListenV1", 1)[1]
            schemas[root] = plain(message["payload"], last)
            roots.append(root)
    rest = lambda reference: "rest." + last(reference)
    schemas |= {
        "rest." + name: plain(one, rest) for name, one in recorded["components"]["schemas"].items()
    }
    answer = recorded["paths"]["/v1/listen"]["post"]["responses"]["200"]
    schemas["recorded"] = plain(answer["content"]["application/json"]["schema"], rest)
    write("deepgram.json", needed(schemas, [*roots, "recorded"]))


def openai(folder):
    document = read(folder, "openai-openapi-subset.json")
    schemas = {name: plain(one, last) for name, one in document["components"]["schemas"].items()}
    roots = [
        "CreateTranscriptionResponseJson",
        "CreateTranscriptionResponseVerboseJson",
        "CreateTranscriptionResponseStreamEvent",
        "CreateChatCompletionRequest",
        "CreateChatCompletionResponse",
        "CreateChatCompletionStreamResponse",
        "ErrorResponse",
    ]
    write("openai.json", needed(schemas, roots))


def google(folder):
    schemas = {}
    for version, roots in (
        ("v2", ["TranslateTextRequest", "TranslationsListResponse"]),
        ("v3", ["TranslateTextRequest", "TranslateTextResponse"]),
    ):
        rename = lambda reference: f"{version}.{reference}"
        document = read(folder, f"translate.{version}.json")["schemas"]
        named = {rename(name): closed(plain(one, rename)) for name, one in document.items()}
        for schema in named.values():
            schema.pop("id", None)
        schemas |= needed(named, map(rename, roots))
    write("google.json", schemas)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    for cut in (deepgram, openai, google):
        cut(pathlib.Path(sys.argv[1]))
