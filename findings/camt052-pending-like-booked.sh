#!/usr/bin/env bash
# bankstatementparser 0.0.29 against camt053 0.0.23 (PyPI), on an intraday report in camt.052.001.08.
#
# Input: a report with one booked entry and one that is pending, valid by the schema, which camt053 brings. In ISO 20022 the
# status of an entry (`Ntry/Sts/Cd`) is mandatory: BOOK, PDNG (not on the account yet, may never be), INFO or FUTR. A
# camt.052, unlike a statement, is where banks send PDNG.
# One expects: a reader of camt.052 gives the status, or leaves out what isn't booked.
# What happens: Camt052Parser gives both entries alike: no column has the status, and the totals have the pending one in
# them. camt053, which reads the report too, gives the status.
# Why it matters: an order is taken as paid and goods are sent on money that may not come; and when the same entry is
# booked, the next report tells it again, so it is counted twice.
#
# Prints what each says; exits 1 if that is no longer so. Needs python3 with venv.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check bankstatementparser==0.0.29 camt053==0.0.23
cat >report.xml <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.08">
  <BkToCstmrAcctRpt>
    <GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-01-05T12:00:00</CreDtTm></GrpHdr>
    <Rpt>
      <Id>R1</Id><CreDtTm>2026-01-05T12:00:00</CreDtTm>
      <Acct><Id><IBAN>AT611904300234573201</IBAN></Id><Ccy>EUR</Ccy></Acct>
      <Ntry>
        <NtryRef>1</NtryRef><Amt Ccy="EUR">20.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
        <BookgDt><Dt>2026-01-05</Dt></BookgDt><ValDt><Dt>2026-01-05</Dt></ValDt>
        <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>
      </Ntry>
      <Ntry>
        <NtryRef>2</NtryRef><Amt Ccy="EUR">7000.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>PDNG</Cd></Sts>
        <ValDt><Dt>2026-01-07</Dt></ValDt>
        <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>
      </Ntry>
    </Rpt>
  </BkToCstmrAcctRpt>
</Document>
XML
cat >ask.py <<'END'
from pathlib import Path
import camt053
from bankstatementparser import Camt052Parser
from lxml import etree

schema = Path(camt053.__file__).parent / "xsd" / "camt.052.001.08.xsd"
etree.XMLSchema(etree.parse(schema)).assertValid(etree.parse("report.xml"))
parser = Camt052Parser("report.xml")
table = parser.parse()
print(table.T.to_string())
told = [column for column in table if "PDNG" in [str(value) for value in table[column]]]
print("bankstatementparser amounts", [str(value) for value in table["Amount"]], "columns with the status", told)
print("bankstatementparser summary", parser.get_summary())
entries = camt053.parse_document(open("report.xml").read()).statements[0].entries
print("camt053", [(entry.amount, entry.status) for entry in entries])
END
python/bin/python ask.py | tee said
grep -qxF "bankstatementparser amounts ['20.00', '7000.00'] columns with the status []" said
grep -q "^bankstatementparser summary .*7020" said
grep -qxF "camt053 [('20.00', 'BOOK'), ('7000.00', 'PDNG')]" said
