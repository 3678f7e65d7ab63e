#!/usr/bin/env bash
# bankstatementparser 0.0.29 against camt053 0.0.23 (PyPI), on statements in camt.053.001.02 and camt.053.001.08.
#
# Input: the same statement twice, valid by ISO 20022's schemas, which camt053 brings. The name of the payer is `Dbtr/Nm` up to
# version 06, and `Dbtr/Pty/Nm` from version 07 on, where Dbtr became a choice of a party or an agent. Banks are moving from
# version 02 to 08.
# One expects: the payer's name from both, or an error for a version it can't read.
# What happens: bankstatementparser takes both without a word, the amounts and references are right, but in version 08 the
# column Debtor is empty in every line. camt053 finds the name in both.
# Why it matters: matching incoming money by the payer's name, and checks of the name against lists, go on running on empty
# names from the day the bank changes the version. A test with an old sample file stays green.
#
# Prints what each says; exits 1 if that is no longer so. Needs python3 with venv.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check bankstatementparser==0.0.29 camt053==0.0.23
cat >ask.py <<'END'
from pathlib import Path
import camt053
from bankstatementparser import CamtParser
from lxml import etree


def valid(text, message):
    schema = Path(camt053.__file__).parent / "xsd" / f"{message}.xsd"
    etree.XMLSchema(etree.parse(schema)).assertValid(etree.fromstring(text))


def balance(code, amount):
    return (f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount}</Amt>'
            "<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-05</Dt></Dt></Bal>")


def statement(version):
    new = version == "08"
    status = "<Cd>BOOK</Cd>" if new else "BOOK"
    name = "<Pty><Nm>Ann Payer</Nm></Pty>" if new else "<Nm>Ann Payer</Nm>"
    amount = '<Amt Ccy="EUR">20.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>' if new else ""
    return (f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
            "<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-01-05T20:00:00</CreDtTm></GrpHdr>"
            "<Stmt><Id>S1</Id><CreDtTm>2026-01-05T20:00:00</CreDtTm>"
            "<Acct><Id><IBAN>AT611904300234573201</IBAN></Id><Ccy>EUR</Ccy></Acct>"
            + balance("OPBD", "100.00") + balance("CLBD", "120.00") +
            '<Ntry><NtryRef>1</NtryRef><Amt Ccy="EUR">20.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
            f"<Sts>{status}</Sts><BookgDt><Dt>2026-01-05</Dt></BookgDt><ValDt><Dt>2026-01-05</Dt></ValDt>"
            "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
            f"<NtryDtls><TxDtls><Refs><EndToEndId>E1</EndToEndId></Refs>{amount}"
            f"<RltdPties><Dbtr>{name}</Dbtr></RltdPties><RmtInf><Ustrd>invoice 7</Ustrd></RmtInf>"
            "</TxDtls></NtryDtls></Ntry></Stmt></BkToCstmrStmt></Document>")


for version in "02", "08":
    valid(statement(version), f"camt.053.001.{version}")
    file = f"statement.{version}.xml"
    open(file, "w").write(statement(version))
    line = CamtParser(file).parse().iloc[0]
    print(f"bankstatementparser {version} amount={line['Amount']} reference={line['Reference']!r} debtor={line['Debtor']!r}")
    entry = camt053.parse_document(statement(version)).statements[0].entries[0]
    print(f"camt053 {version} debtor={entry.details[0].counterparty_name!r}")
END
python/bin/python ask.py | tee said
grep -qxF "bankstatementparser 02 amount=20.00 reference='invoice 7' debtor='Ann Payer'" said
grep -qxF "bankstatementparser 08 amount=20.00 reference='invoice 7' debtor=''" said
[ "$(grep -c "^camt053 0[28] debtor='Ann Payer'$" said)" = 2 ]
