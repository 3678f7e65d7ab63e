#!/usr/bin/env bash
# schwifty 2026.10.1 (PyPI) and ibantools 4.5.4 (npm), asked which countries' IBANs are of SEPA.
#
# Input: the IBAN registry's examples of Albania, Montenegro, Moldova, North Macedonia and Serbia. The European Payments Council
# took the first two into the area of the SEPA schemes in November 2024, the next two in March 2025, and Serbia in May 2025 (its
# list EPC409-09); since October 2025 banks of the first four can be reached.
# One expects: `in_sepa_zone` and `isSEPACountry`, in the newest releases of November 2026, say so.
# What happens: both say false of all five; of San Marino and Switzerland, which aren't in the European Union either, they say
# true. The flag has no date, so one can't see how old it is.
# Why it matters: a server that chooses a payment's way by that flag sends euros to five countries as a foreign payment, at its
# price and in its days, or tells a customer that a SEPA transfer isn't possible. Such a list has to be a setting.
#
# Prints what each says; exits 1 if that is no longer so. Needs python3 with venv, and node with npm.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check schwifty==2026.10.1
echo '{ "private": true }' >package.json
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error ibantools@4.5.4
joined=(AL47212110090000000235698741 ME25505000012345678951 MD24AG000225100013104168 MK07250120000058984 RS35260005601001611379)
before=(SM86U0322509800000000270100 CH9300762011623852957)
{
    python/bin/python -c 'import sys, schwifty; [print("schwifty", n, schwifty.IBAN(n).in_sepa_zone) for n in sys.argv[1:]]' \
        "${joined[@]}" "${before[@]}"
    node -e 'const { isSEPACountry, isValidIBAN } = require("ibantools");
        for (const n of process.argv.slice(1)) console.log("ibantools", n, isValidIBAN(n) && isSEPACountry(n.slice(0, 2)));' \
        "${joined[@]}" "${before[@]}"
} | tee said
[ "$(grep -cE '^schwifty (AL|ME|MD|MK|RS)[0-9A-Z]+ False$' said)" = 5 ]
[ "$(grep -cE '^ibantools (AL|ME|MD|MK|RS)[0-9A-Z]+ false$' said)" = 5 ]
[ "$(grep -ciE '^(schwifty|ibantools) (SM|CH)[0-9A-Z]+ true$' said)" = 4 ]
