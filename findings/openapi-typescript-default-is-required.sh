#!/usr/bin/env bash
# openapi-typescript 7.13.0 with TypeScript 5.9.3 (npm), on a description in OpenAPI 3.1.
#
# Expected: a field of a request's body that is not in `required` may be left out; its `default` says what the server takes
# then (OpenAPI 3.1: JSON Schema's `default` is an annotation, and makes nothing required).
# Happens: a field with a `default` becomes a required one, so that a request that the server takes doesn't compile. The same
# `default` behind a `$ref` leaves the field optional.
# Why it matters: to add a default to a field of a request, which changes nothing for anybody on the wire, breaks the build of
# every TypeScript client at its next generation; and who silences it by sending a value fixes the default of that day.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund openapi-typescript@7.13.0 typescript@5.9.3
cat >openapi.json <<'JSON'
{ "openapi": "3.1.0", "info": { "title": "Defaults", "version": "1" }, "paths": {},
  "components": { "schemas": {
    "Last": { "type": "boolean", "default": false },
    "Inline": { "type": "object", "properties": { "last": { "type": "boolean", "default": false } } },
    "Referred": { "type": "object", "properties": { "last": { "$ref": "#/components/schemas/Last" } } },
    "Plain": { "type": "object", "properties": { "last": { "type": "boolean" } } } } } }
JSON
npx openapi-typescript openapi.json -o made.d.ts >/dev/null 2>&1
npx openapi-typescript --version
sed -n '/Inline: {/,/};/p; /Referred: {/,/};/p; /Plain: {/,/};/p' made.d.ts
cat >use.ts <<'TS'
import type { components } from "./made.js";
type Schemas = components["schemas"];
export const plain: Schemas["Plain"] = {};
export const referred: Schemas["Referred"] = {};
export const inline: Schemas["Inline"] = {};
TS
npx tsc --noEmit --strict --module nodenext use.ts | tee said || true
[ "$(wc -l <said)" = 1 ] && grep -q "use.ts(5,.*Property 'last' is missing" said
