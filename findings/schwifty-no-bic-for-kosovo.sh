#!/usr/bin/env bash
# schwifty 2026.10.1 against python-stdnum 2.2 (PyPI) and ibantools 4.5.4 (npm), on BICs of Kosovo.
#
# Input: CBRKXKPR, MBKOXKPR and RBKOXKPR, which Kosovo's central bank made known as the BICs of itself and of two banks, in
# use in SWIFT since December 2013. ISO 9362 takes the country from ISO 3166-1, where XK is a code left to users; SWIFT uses it
# for Kosovo in BICs and, since 2014, in the IBAN registry, whose example is XK051212012345678906.
# One expects: a library for both numbers knows the same countries in both.
# What happens: schwifty takes the IBAN and refuses every BIC of the country: "Invalid country code 'XK'". The others take them.
# Why it matters: a form with an account and its bank can't be filled in for anybody there, whatever they write, though
# the account alone would have passed; and reading a directory of banks stops at the first of them.
#
# Prints what each says; exits 1 if that is no longer so. Needs python3 with venv, and node with npm.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check schwifty==2026.10.1 python-stdnum==2.2
echo '{ "private": true }' >package.json
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error ibantools@4.5.4
bics=(CBRKXKPR MBKOXKPR RBKOXKPR)
cat >ask.py <<'END'
import sys
from schwifty import BIC, IBAN
from schwifty.exceptions import SchwiftyException
from stdnum import bic

print("schwifty takes", IBAN("XK051212012345678906"))
for code in sys.argv[1:]:
    try:
        said = BIC(code)
    except SchwiftyException as error:
        said = f"{type(error).__name__}: {error}"
    print(f"{code} schwifty {said}; stdnum {bic.is_valid(code)}")
END
{
    python/bin/python ask.py "${bics[@]}"
    node -e 'for (const code of process.argv.slice(1)) console.log(code, "ibantools", require("ibantools").isValidBIC(code))' "${bics[@]}"
} | tee said
grep -qxF "schwifty takes XK051212012345678906" said
[ "$(grep -cE "XKPR schwifty InvalidCountryCode: .*; stdnum True$" said)" = 3 ] && [ "$(grep -c 'XKPR ibantools true$' said)" = 3 ]
