"""Holds messages to the official documents: one JSON object a line on standard input, with the
document, the schema's name, where the message comes from, and the message. PASS and FAIL lines."""

import json
import pathlib
import sys

import jsonschema_rs

HERE = pathlib.Path(__file__).parent
validators = {}
failed = False


def validator(document, schema):
    if (document, schema) not in validators:
        schemas = json.loads((HERE / f"{document}.json").read_text())["schemas"]
        if schema not in schemas:
            raise KeyError(f"{document} has no {schema}")
        whole = {"$ref": f"#/schemas/{schema}", "schemas": schemas}
        validators[document, schema] = jsonschema_rs.validator_for(whole)
    return validators[document, schema]


for line in sys.stdin:
    sample = json.loads(line)
    name = f"{sample['from']}: {sample['document']} {sample['schema']}"
    errors = [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator(sample["document"], sample["schema"]).iter_errors(sample["message"])
    ]
    failed |= bool(errors)
    print(f"{'FAIL' if errors else 'PASS'} {name} {'; '.join(errors)[:600]}")
sys.exit(failed)
