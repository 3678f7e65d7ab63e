#!/usr/bin/env bash
# mt-940 5.1.1 and camt053-loader-mt940 0.0.23 (PyPI) against mt940js 1.3.5 (npm), on a bank statement in MT940.
#
# Input: a statement whose field 61 has the marks RC and RD. SWIFT's MT940, field 61, subfield 3: RC is the reversal of a
# credit, so a debit entry; RD is the reversal of a debit, so a credit entry. 1000 - 10 + 20 = 1010, which is what :62F:
# says.
# One expects: the amounts that a parser gives, added to the opening balance, give the closing balance.
# What happens: mt940js gives -10 and 20. mt-940 gives 10 and 20 unless one finds the option `reversal_sign`, though a plain
# D is negative there. camt053-loader-mt940 gives CRDT for RC and DBIT for RD, each with the reversal flag; in ISO 20022
# (CdtDbtInd and RvslInd of an entry) CRDT with the flag is the reversal of a debit, so what it makes says the opposite of
# what it was given.
# Why it matters: a payment that the bank took back is counted as paid once more. Who reads statements into a ledger has to
# hold the sum against the closing balance before booking any line.
#
# Prints what each says; exits 1 if that is no longer so. Needs python3 with venv, and node with npm.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check mt-940==5.1.1 camt053==0.0.23 camt053-loader-mt940==0.0.23
echo '{ "private": true }' >package.json
npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error mt940js@1.3.5
cat >statement.sta <<'END'
:20:STATEMENT1
:25:DE89370400440532013000
:28C:1/1
:60F:C260105EUR1000,00
:61:2601060106RC10,00NTRFNONREF
:86:PAYMENT TAKEN BACK
:61:2601060106RD20,00NTRFNONREF
:86:CHARGE GIVEN BACK
:62F:C260106EUR1010,00
END
cat >python.py <<'END'
import camt053_loader_mt940
import mt940

text = open("statement.sta").read()
plain = mt940.parse(text)
print("mt-940", [str(line.data["amount"].amount) for line in plain])
asked = mt940.parse(text, options=mt940.Options(reversal_sign=True))
print("mt-940 with reversal_sign", [str(line.data["amount"].amount) for line in asked])
entries = camt053_loader_mt940.parse_mt940(text).statements[0].entries
print("camt053-loader-mt940", [(e.amount, e.credit_debit_indicator, e.reversal_indicator) for e in entries])
END
cat >node.cjs <<'END'
const { Parser } = require("mt940js");
const [statement] = new Parser().parse(require("fs").readFileSync("statement.sta", "utf8"));
console.log("mt940js", statement.transactions.map((line) => line.amount), "closing", statement.closingBalance);
END
{ python/bin/python python.py; node node.cjs; } | tee said
grep -qxF "mt-940 ['10.00', '20.00']" said
grep -qxF "mt-940 with reversal_sign ['-10.00', '20.00']" said
grep -qxF "camt053-loader-mt940 [('10.00', 'CRDT', True), ('20.00', 'DBIT', True)]" said
grep -qxF "mt940js [ -10, 20 ] closing 1010" said
