#!/usr/bin/env bash
# dinero.js 2.0.2 (npm) against iso4217 1.16.20260101 (PyPI), which brings list one of ISO 4217.
#
# Input: 1234.56 of the Malagasy ariary (MGA), the Mauritanian ouguiya (MRU) and the dinar of Jordan (JOD), in minor units.
# ISO 4217, list one, gives two minor digits to MGA and MRU, three to JOD; so 123456, 123456 and 1234560.
# One expects: a library that takes amounts in minor units gives 1234.56 back, whatever the currency.
# What happens: its own constants MGA and MRU have `base: 5, exponent: 1`: one ariary is five units. The same 123456 is
# 24691 ariary and a fifth, twenty times as much, without an error; only toDecimal refuses ("Currency is not decimal").
# Why it matters: a server that sends `{"amount": 123456, "currency": "MGA"}` by ISO 4217 is shown with twenty times the
# money in a browser that uses this library, and a payment entered there comes back as a twentieth. An interface that also
# tells the number of digits leaves no room for that: `dinero({ amount, currency: { code, base: 10, exponent } })`.
#
# Prints what each says; exits 1 if that is no longer so. Needs node 20 with npm, and python3 with venv.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check iso4217==1.16.20260101
echo '{ "private": true }' >package.json
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error dinero.js@2.0.2
cat >ask.mjs <<'END'
import { dinero, toDecimal, toUnits, JOD, MGA, MRU } from "dinero.js";
for (const [amount, currency] of [[123456, MGA], [123456, MRU], [1234560, JOD]]) {
  const money = dinero({ amount, currency });
  let decimal;
  try { decimal = toDecimal(money); } catch (error) { decimal = error.message; }
  console.log(`dinero.js ${amount} ${currency.code} is ${JSON.stringify(toUnits(money))}; ${decimal}`);
}
END
{
    python/bin/python -c 'from iso4217 import Currency as C; [print("ISO 4217", c, C(c).exponent) for c in ("MGA", "MRU", "JOD")]'
    node ask.mjs
} | tee said
grep -qxF 'ISO 4217 MGA 2' said && grep -qxF 'ISO 4217 MRU 2' said && grep -qxF 'ISO 4217 JOD 3' said
[ "$(grep -cE '^dinero.js 123456 (MGA|MRU) is \[24691,1\]; .*not decimal' said)" = 2 ]
grep -qxF 'dinero.js 1234560 JOD is [1234,560]; 1234.560' said
