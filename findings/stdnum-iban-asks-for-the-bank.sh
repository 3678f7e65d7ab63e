#!/usr/bin/env bash
# python-stdnum 2.2 against schwifty 2026.10.1 (PyPI) and ibantools 4.5.4 (npm), on IBANs.
#
# Input: BE68539007547034, the example for Belgium in SWIFT's IBAN registry (ISO 13616): length, structure, both check
# numbers, the national one too, are right. And BE71096123456769, with another bank's code.
# One expects: `stdnum.iban.is_valid` checks the form of any country alike.
# What happens: for Belgium it also looks the bank up in a list that came with the release, and says False where the code
# isn't in it, without a hint that the number's form is right (the error is InvalidComponent, for a wrong country too). The
# example of the registry is refused. With `check_country=False`, which leaves out national check digits too, it is taken.
# The other two packages take it.
# Why it matters: a bank that opens, or takes over a range of codes, after the release has customers whose IBANs are
# "mistyped" until the next upgrade of a library, in Belgium and nowhere else. A server that refuses an order for it
# can't be argued with.
#
# Prints what each says; exits 1 if that is no longer so. Needs python3 with venv, and node with npm.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check python-stdnum==2.2 schwifty==2026.10.1
echo '{ "private": true }' >package.json
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error ibantools@4.5.4
numbers=(BE68539007547034 BE71096123456769)
cat >ask.py <<'END'
import sys
import schwifty
from stdnum import iban

for number in sys.argv[1:]:
    try:
        said = iban.validate(number)
    except iban.ValidationError as error:
        said = type(error).__name__
    print(number, "stdnum", iban.is_valid(number), said, "without the country", iban.is_valid(number, check_country=False))
    print(number, "schwifty", schwifty.IBAN(number).validate(validate_bban=True))
END
{
    python/bin/python ask.py "${numbers[@]}"
    node -e 'for (const n of process.argv.slice(1)) console.log(n, "ibantools", require("ibantools").isValidIBAN(n))' "${numbers[@]}"
} | tee said
grep -qxF "BE68539007547034 stdnum False InvalidComponent without the country True" said
grep -qxF "BE71096123456769 stdnum True BE71096123456769 without the country True" said
[ "$(grep -cE '^BE[0-9]+ schwifty True$' said)" = 2 ] && [ "$(grep -cE '^BE[0-9]+ ibantools true$' said)" = 2 ]
