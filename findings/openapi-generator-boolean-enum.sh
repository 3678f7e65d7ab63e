#!/usr/bin/env bash
# openapi-generator-cli 7.26.0 (PyPI; needs Java 11 or later), generator `python`, on a valid description in OpenAPI 3.1.
#
# Expected: a boolean that can only be true, `{"type": "boolean", "enum": [true]}`, becomes a bool, or the generator refuses it.
# Happens: it ends with status 0 and without a warning about it, and writes `class Always(int, Enum):` with the line
# `NUMBER_'true' = 'true'`, which is no Python: whatever uses it can't be imported.
# Why it matters: one flag in one answer, such as "this was only a dry run", takes the whole client away, and nobody learns it
# before the first import.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check openapi-generator-cli==7.26.0 openapi-spec-validator==0.9.0 \
    pydantic urllib3 python-dateutil
cat >openapi.json <<'JSON'
{ "openapi": "3.1.0", "info": { "title": "Always", "version": "1" },
  "paths": { "/try": { "post": { "operationId": "try_it", "responses": { "200": { "description": "Tried",
    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/DryRun" } } } } } } } },
  "components": { "schemas": {
    "Always": { "type": "boolean", "enum": [true] },
    "DryRun": { "type": "object", "required": ["dry_run"], "properties": {
      "dry_run": { "$ref": "#/components/schemas/Always" } } } } } }
JSON
python/bin/openapi-spec-validator openapi.json
status=0
python/bin/openapi-generator-cli generate -g python -i openapi.json -o made --package-name made >said 2>&1 || status=$?
python/bin/openapi-generator-cli version
echo "status of the generator: $status; lines about the schema: $(grep -ci always said || true) (none is a warning)"
grep -i always said | grep -i warn && exit 1
sed -n '/^class/,$p' made/made/models/always.py | head -12
imported=0
(cd made && ../python/bin/python -c 'import made; made.DryRun') 2>&1 | tail -3 | tee error || imported=$?
[ "$status" = 0 ] && grep -qE 'SyntaxError|TypeError|NameError' error
