#!/usr/bin/env bash
# Intl.NumberFormat of Node.js 20.20.2, and Babel 2.19.0 (PyPI), against iso4217 1.16.20260101 (PyPI; list one of ISO 4217).
#
# Input: amounts in HUF, COP and ALL (two minor digits in ISO 4217), IQD and JOD (three).
# One expects: a formatter with the style "currency" shows all digits that the currency has. It does for JOD: 0.250.
# ECMA-402 (CurrencyDigits) even names ISO 4217's list as the source of their number.
# What happens: both take the digits from Unicode's CLDR, which has what one meets in cash: none for HUF, COP, ALL and IQD.
# So 999.50 HUF is shown as 1,000, and 0.490 IQD as 0, rounded and without an error. Babel shows the rest when asked with
# `currency_digits=False`.
# Why it matters: a ledger that keeps HUF in hundredths, as ISO 4217 has it, shows balances and receipts that don't add up,
# and a confirmation "pay HUF 1,000" for an order of 999.50. The digits have to be given each time: `minimumFractionDigits`
# and `maximumFractionDigits` from the server's own table.
#
# Prints what each says; exits 1 if that is no longer so. Needs node, and python3 with venv.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check babel==2.19.0 iso4217==1.16.20260101
amounts=(HUF=999.50 COP=0.49 ALL=0.49 IQD=0.490 JOD=0.250)
cat >ask.py <<'END'
import sys
from decimal import Decimal
from babel.numbers import format_currency
from iso4217 import Currency

for pair in sys.argv[1:]:
    code, amount = pair.split("=")
    shown = format_currency(Decimal(amount), code, "¤¤ #,##0.00", locale="en")
    print(code, amount, "digits in ISO 4217", Currency(code).exponent, "babel", shown)
END
cat >ask.cjs <<'END'
console.log("node", process.version, "CLDR", process.versions.cldr);
for (const pair of process.argv.slice(2)) {
  const [code, amount] = pair.split("=");
  const format = new Intl.NumberFormat("en", { style: "currency", currency: code, currencyDisplay: "code" });
  console.log(code, amount, "node", format.format(amount).replace(/\s/g, " "));
}
END
{ python/bin/python ask.py "${amounts[@]}"; node ask.cjs "${amounts[@]}"; } | tee said
grep -qxF "HUF 999.50 digits in ISO 4217 2 babel HUF 1,000" said && grep -qxF "HUF 999.50 node HUF 1,000" said
for code in COP ALL; do
    grep -qxF "$code 0.49 digits in ISO 4217 2 babel $code 0" said && grep -qxF "$code 0.49 node $code 0" said
done
grep -qxF "IQD 0.490 digits in ISO 4217 3 babel IQD 0" said && grep -qxF "IQD 0.490 node IQD 0" said
grep -qxF "JOD 0.250 digits in ISO 4217 3 babel JOD 0.250" said && grep -qxF "JOD 0.250 node JOD 0.250" said
