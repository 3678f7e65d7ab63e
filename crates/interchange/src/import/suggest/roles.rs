//! Meanings of the columns, by the names that banks give them and by what stands in them.

use std::collections::{BTreeMap, BTreeSet};

use super::dates::Dates;
use super::look::{Look, Record};
use super::numbers;

/// The most accounts that a column may name, to be listed in the map.
const ACCOUNTS_MAX: usize = 20;

/// The most columns that make a text.
const TEXT_COLUMNS_MAX: usize = 4;

const DATE: &[&str] = &[
    "booking date",
    "buchungstag",
    "buchungsdatum",
    "buchung",
    "posting date",
    "posted date",
    "transaction date",
    "date de comptabilisation",
    "date operation",
    "date opération",
    "txn date",
    "tran date",
    "completed date",
    "boekdatum",
    "transactiedatum",
    "date",
    "datum",
    "fecha operación",
    "fecha",
    "data lançamento",
    "data contabile",
    "data",
    "取引日",
    "日付",
    "年月日",
    "started date",
    "created on",
    "value date",
    "valutadatum",
    "wertstellung",
    "valuta",
    "дата обработки",
    "дата проводки",
    "дата операции",
    "дата",
    "datum zaúčtování",
    "tranzakció dátuma",
    "dátum",
];
const AMOUNT: &[&str] = &[
    "amount",
    "betrag",
    "umsatz",
    "montant",
    "importe",
    "importo",
    "valor",
    "bedrag",
    "belopp",
    "beløb",
    "kwota",
    "取引金額",
    "金額",
    "amt",
    "сумма",
    "částka",
    "suma",
    "summa",
    "összege",
    "összeg",
    "tutar",
    "iznos",
];
const NOT_THE_AMOUNT: &[&str] = &[
    "balance",
    "saldo",
    "fee",
    "original",
    "foreign",
    "fremd",
    "kurs",
    "rate",
    "target",
    "orig",
    "entgelt",
    "gebühr",
    "tax",
    "комисси",
    "курс",
    "původní",
    "poplatek",
];
const MONEY_IN: &[&str] = &[
    "paid in",
    "money in",
    "deposit amt",
    "deposit",
    "credit amount",
    "credit",
    "gutschrift",
    "haben",
    "einzahlung",
    "crédit",
    "credito",
    "crédito",
    "abono",
    "ingreso",
    "お預入れ",
    "お預入",
    "預入",
    "入金",
    "amount in",
    "in",
    "приход",
    "зачислен",
    "поступлен",
    "uznania",
    "wpływy",
    "příjem",
    "bevétel",
    "jóváírás",
    "bijschrijving",
    "accrediti",
    "entrate",
    "avere",
];
const MONEY_OUT: &[&str] = &[
    "paid out",
    "money out",
    "withdrawal amt",
    "withdrawal",
    "debit amount",
    "debit",
    "lastschrift",
    "belastung",
    "soll",
    "auszahlung",
    "débit",
    "debito",
    "débito",
    "cargo",
    "gasto",
    "お引出し",
    "お引出",
    "引出",
    "出金",
    "amount out",
    "out",
    "debet",
    "расход",
    "списан",
    "obciążenia",
    "wydatki",
    "výdaj",
    "kiadás",
    "terhelés",
    "afschrijving",
    "addebiti",
    "uscite",
    "dare",
];
const BALANCE: &[&str] = &[
    "balance",
    "running bal",
    "saldo",
    "solde",
    "kontostand",
    "差引残高",
    "残高",
    "остаток",
    "баланс",
    "zůstatek",
    "zostatok",
    "egyenleg",
    "likutis",
];
const CURRENCY: &[&str] = &[
    "currency",
    "währung",
    "waehrung",
    "devise",
    "moneda",
    "moeda",
    "munt",
    "ccy",
    "通貨",
    "valuta",
    "валюта",
    "měna",
    "mena",
    "waluta",
    "valiuta",
    "devizanem",
    "pénznem",
    "munteenheid",
];
const ID: &[&str] = &[
    "transaction id",
    "transactionid",
    "transferwise id",
    "transaction reference",
    "reference number",
    "identificador",
    "entry reference",
    "unique id",
    "uuid",
    "id",
];
const STATE: &[&str] = &["state", "status", "statut", "estado", "situação", "info", "статус", "состояние", "stav"];
const ACCOUNT: &[&str] = &[
    "auftragskonto",
    "account number",
    "accountnumber",
    "iban",
    "rekening",
    "kontonummer",
    "konto",
    "compte",
    "account",
    "口座番号",
    "номер счета",
    "číslo účtu",
    "számlaszám",
];
const NOT_THE_ACCOUNT: &[&str] = &[
    "counter",
    "gegen",
    "tegen",
    "payee",
    "partner",
    "zahlung",
    "begünst",
    "beguenst",
    "name",
    "other",
    "empf",
    "to ",
    "from ",
    "protiúčt",
    "contra",
];
const TEXT: &[&str] = &[
    "description",
    "counter party",
    "beschreibung",
    "verwendungszweck",
    "buchungstext",
    "payee",
    "payer",
    "merchant",
    "name",
    "details",
    "memo",
    "narration",
    "particulars",
    "remarks",
    "notes",
    "notifications",
    "libellé",
    "libelle",
    "omschrijving",
    "mededelingen",
    "avisierungstext",
    "beguenstigter",
    "begünstigter",
    "auftraggeber",
    "empfänger",
    "zahlungs",
    "umsatztext",
    "title",
    "título",
    "histórico",
    "historico",
    "descrição",
    "concepto",
    "causale",
    "descrizione",
    "摘要",
    "お取り扱い内容",
    "取引内容",
    "適用",
    "reference",
    "referenz",
    "описание",
    "основание",
    "назначение",
    "zpráva",
    "poznámka",
    "popis",
    "közlemény",
    "részletek",
    "paaiškinimai",
    "gavėjas",
    "opis",
];
const FEE: &[&str] = &["fee", "gebühr", "entgelt", "комисси", "poplatek"];
const KIND: &[&str] = &["transaction type", "type", "category", "tipo", "art"];

/// Values that say that a row is booked.
const BOOKED: &[&str] = &[
    "completed",
    "booked",
    "posted",
    "settled",
    "cleared",
    "success",
    "umsatz gebucht",
    "gebucht",
    "comptabilisé",
    "исполнено",
    "проведено",
    "выполнено",
    "executed",
    "zaúčtováno",
    "könyvelt",
];
/// Values that say that it isn't, or never was.
const NOT_BOOKED: &[&str] = &[
    "pending",
    "reverted",
    "declined",
    "failed",
    "cancelled",
    "canceled",
    "rejected",
    "authorized",
    "authorised",
    "umsatz vorgemerkt",
    "vorgemerkt",
    "en attente",
    "pendente",
    "refused",
    "в обработке",
    "заблокировано",
    "отклонено",
    "отменено",
    "ожидает",
    "in progress",
    "processing",
    "blokováno",
];

/// Credit and debit, as columns say them.
const DIRECTIONS: &[(&[&str], &[&str])] = &[
    (&["c", "cr"], &["d", "dr"]),
    (&["credit"], &["debit"]),
    (&["crdt"], &["dbit"]),
    (&["h", "haben"], &["s", "soll"]),
    (&["bij"], &["af"]),
    (&["in"], &["out"]),
    (&["+"], &["-"]),
    (&["入金"], &["出金"]),
];

/// Words that rows with a balance and no payment begin with.
const BALANCE_WORDS: &[&str] = &[
    "opening balance",
    "closing balance",
    "balance brought forward",
    "balance carried forward",
    "brought forward",
    "carried forward",
    "balance b/f",
    "balance c/f",
    "previous balance",
    "anfangssaldo",
    "endsaldo",
    "alter saldo",
    "neuer saldo",
    "saldo anterior",
    "saldo inicial",
    "saldo final",
    "saldo do dia",
    "solde initial",
    "solde final",
    "beginsaldo",
    "eindsaldo",
    "前回残高",
    "繰越",
];

/// Words for the account's own currency, beside that of a payment.
const OF_THE_ACCOUNT: &[&str] = &[
    "account",
    "konto",
    "compte",
    "cuenta",
    "conto",
    "conta",
    "rekening",
    "счета",
    "счёта",
    "účtu",
    "rachunku",
    "számla",
];

/// The most kinds of states that a column may have.
const STATES_MAX: usize = 8;

/// The most currencies that a file may have accounts in.
const CURRENCIES_MAX: usize = 20;

/// Columns of the money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Money {
    Signed(usize),
    Directed {
        amount: usize,
        direction: usize,
        credit: BTreeSet<String>,
        debit: BTreeSet<String>,
    },
    InOut {
        money_in: usize,
        money_out: usize,
    },
    /// One of the two has an amount in each row, and nothing tells which of them is for money that comes in.
    Either([usize; 2]),
}

/// Meanings of the columns.
#[derive(Debug)]
pub(super) struct Roles {
    pub(super) date: Option<(usize, Dates)>,
    pub(super) money: Option<Money>,
    pub(super) balance: Option<usize>,
    /// The column, and how many rows are in each currency that is known.
    pub(super) currency: Option<(usize, BTreeMap<String, usize>)>,
    /// A column of currencies that says what is none: the column, and what it says.
    pub(super) unknown_currency: Option<(usize, String)>,
    pub(super) id: Option<usize>,
    /// Columns with a name for an id whose values aren't all different.
    pub(super) repeated_id: Option<usize>,
    /// The column, and the values that aren't booked.
    pub(super) state: Option<(usize, BTreeSet<String>)>,
    /// A column named for states, with values that are not known to be one: the column, and how often each is there.
    pub(super) unknown_state: Option<(usize, BTreeMap<String, usize>)>,
    /// The column, and the accounts that it names.
    pub(super) account: Option<(usize, BTreeSet<String>)>,
    pub(super) texts: Vec<usize>,
    /// Columns with amounts that nobody booked, such as fees.
    pub(super) others: Vec<usize>,
    /// A column of other dates, and in how many rows that have a date it is empty.
    pub(super) lacking_dates: Option<(usize, usize)>,
}

impl Roles {
    /// Finds them.
    pub(super) fn of(look: &Look, is_currency: &dyn Fn(&str) -> bool) -> Self {
        let columns = Columns { look, is_currency };
        let date = columns.date();
        let dated = date.as_ref().map(|(column, _)| *column);
        let money = columns.money(dated);
        let mut taken: Vec<usize> = dated.into_iter().collect();
        taken.extend(money.iter().flat_map(Money::columns));
        let balance = columns.find(BALANCE, |column| !taken.contains(&column) && columns.is_amounts(column));
        taken.extend(balance);
        let code_column = columns.currency(money.as_ref(), dated, &taken);
        let counts = code_column.map(|column| (column, look.counts(column, CURRENCIES_MAX)));
        let currency = counts.as_ref().and_then(|(column, counts)| {
            let known = counts.iter().filter(|(code, _)| is_currency(code));
            let known: BTreeMap<String, usize> = known.map(|(code, count)| (code.clone(), *count)).collect();
            (!known.is_empty()).then_some((*column, known))
        });
        let unknown_currency = counts
            .filter(|_| currency.is_none())
            .and_then(|(column, counts)| Some((column, counts.into_keys().find(|code| is_code(code))?)));
        taken.extend(code_column);
        let ids = |column: usize| !taken.contains(&column) && columns.has_some(column);
        let id = columns.find(ID, |column| ids(column) && look.is_unique(column));
        let repeated_id = columns.find(ID, |column| ids(column) && !look.is_unique(column)).filter(|_| id.is_none());
        taken.extend(id);
        let state = columns.state(&taken);
        let unknown_state = columns.unknown_state(&taken).filter(|_| state.is_none());
        taken.extend(state.iter().map(|(column, _)| *column));
        taken.extend(unknown_state.iter().map(|(column, _)| *column));
        let account = columns.account(&taken);
        taken.extend(account.iter().map(|(column, _)| *column));
        let others = columns.others(&taken);
        let texts = columns.texts(&taken);
        let lacking_dates = columns.lacking_dates(dated);
        Self {
            date,
            money,
            balance,
            currency,
            unknown_currency,
            id,
            repeated_id,
            state,
            unknown_state,
            account,
            texts,
            others,
            lacking_dates,
        }
    }

    /// All columns that the map may name.
    pub(super) fn columns(&self) -> BTreeSet<usize> {
        let mut columns: BTreeSet<usize> = self.money.iter().flat_map(Money::columns).collect();
        columns.extend(self.date.iter().map(|(column, _)| *column));
        columns.extend(self.currency.iter().map(|(column, _)| *column));
        columns.extend(self.state.iter().map(|(column, _)| *column));
        columns.extend(self.account.iter().map(|(column, _)| *column));
        columns.extend(self.balance.iter().chain(&self.id).chain(&self.repeated_id).chain(&self.texts));
        columns
    }
}

impl Money {
    /// The columns that it stands in.
    pub(super) fn columns(&self) -> Vec<usize> {
        let direction = match self {
            Self::Directed { direction, .. } => Some(*direction),
            Self::Signed(_) | Self::InOut { .. } | Self::Either(_) => None,
        };
        self.amounts().into_iter().chain(direction).collect()
    }

    /// The columns with amounts.
    pub(super) fn amounts(&self) -> Vec<usize> {
        match self {
            Self::Signed(amount) | Self::Directed { amount, .. } => vec![*amount],
            Self::InOut { money_in, money_out } => vec![*money_in, *money_out],
            Self::Either(columns) => columns.to_vec(),
        }
    }
}

/// Returns `true` if a text tells of a balance, not of a payment.
pub(super) fn tells_a_balance(text: &str) -> bool {
    let text = text.to_lowercase();
    BALANCE_WORDS.iter().any(|words| text.starts_with(words))
}

struct Columns<'l> {
    look: &'l Look,
    is_currency: &'l dyn Fn(&str) -> bool,
}

impl Columns<'_> {
    fn width(&self) -> usize {
        self.look.names.len()
    }

    fn name(&self, column: usize) -> String {
        self.look.names[column].to_lowercase()
    }

    fn values(&self, column: usize) -> impl Iterator<Item = &str> {
        self.look.rows.iter().map(move |row: &Record| row.field(column))
    }

    fn has_some(&self, column: usize) -> bool {
        self.values(column).any(|value| !value.is_empty())
    }

    /// The column whose name is the first word that any has, exactly or else with more around it.
    fn find(&self, words: &[&str], is_fit: impl Fn(usize) -> bool) -> Option<usize> {
        let fit: Vec<usize> = (0..self.width()).filter(|column| is_fit(*column)).collect();
        let exact = words.iter().find_map(|word| fit.iter().find(|column| self.name(**column) == *word));
        let around = || words.iter().find_map(|word| fit.iter().find(|column| has_word(&self.name(**column), word)));
        exact.or_else(around).copied()
    }

    fn is_amounts(&self, column: usize) -> bool {
        let mut filled = 0;
        let mut others = 0;
        for value in self.values(column).filter(|value| !value.is_empty()) {
            filled += 1;
            others += usize::from(!numbers::is_like_an_amount(value));
        }
        filled > 0 && others * 2 <= filled
    }

    fn date(&self) -> Option<(usize, Dates)> {
        let dates: BTreeMap<usize, Dates> =
            (0..self.width()).filter_map(|column| Some((column, Dates::of(self.values(column))?))).collect();
        let named = self.find(DATE, |column| dates.contains_key(&column));
        let column = named.or_else(|| {
            dates.iter().max_by_key(|(column, dates)| (dates.count, usize::MAX - **column)).map(|(column, _)| *column)
        })?;
        dates.into_iter().find(|(place, _)| *place == column)
    }

    fn has_name_of(&self, column: usize, words: &[&str]) -> bool {
        let name = self.name(column);
        words.iter().any(|word| name.contains(word))
    }

    /// Rows that have a date, or all if no column has dates.
    fn dated(&self, date: Option<usize>) -> impl Iterator<Item = &Record> {
        let has_date =
            move |row: &&Record| date.is_none_or(|date| row.field(date).contains(|c: char| c.is_ascii_digit()));
        self.look.rows.iter().filter(has_date)
    }

    fn money(&self, date: Option<usize>) -> Option<Money> {
        let is_other = |column: usize| self.has_name_of(column, NOT_THE_AMOUNT);
        let is_money = |column: usize| !is_other(column) && self.is_amounts(column);
        // A file may have only payments of one direction, and then the other column is empty.
        let may_be = |column: usize| is_money(column) || (!is_other(column) && !self.has_some(column));
        if let (Some(money_in), Some(money_out)) = (self.find(MONEY_IN, may_be), self.find(MONEY_OUT, may_be))
            && money_in != money_out
            && (is_money(money_in) || is_money(money_out))
        {
            return Some(Money::InOut { money_in, money_out });
        }
        let is_amount = |column: usize| is_money(column) && Dates::of(self.values(column)).is_none();
        if let Some(pair) = self.pair(date, &is_amount) {
            return Some(pair);
        }
        let with_decimals =
            |column: &usize| is_amount(*column) && !has_any(&self.name(*column), BALANCE) && self.has_decimals(*column);
        let amount = self
            .amount_of_the_account(date, &is_amount)
            .or_else(|| self.find(AMOUNT, is_amount))
            .or_else(|| (0..self.width()).find(with_decimals))?;
        let Some((direction, credit, debit)) = self.direction(amount) else { return Some(Money::Signed(amount)) };
        Some(Money::Directed { amount, direction, credit, debit })
    }

    fn has_decimals(&self, column: usize) -> bool {
        self.values(column).any(|value| value.contains(['.', ',']))
    }

    /// Two columns beside each other, of which each row has an amount in one: the other is empty or zero.
    fn pair(&self, date: Option<usize>, is_amount: &dyn Fn(usize) -> bool) -> Option<Money> {
        let may_be = |column: usize| is_amount(column) && !has_any(&self.name(column), BALANCE);
        let is_pair = |first: &usize| {
            let (first, second) = (*first, *first + 1);
            if !may_be(first) || !may_be(second) || !(self.has_decimals(first) || self.has_decimals(second)) {
                return false;
            }
            let (mut firsts, mut seconds, mut neither) = (0, 0, 0);
            for row in self.dated(date) {
                match (is_above_zero(row.field(first)), is_above_zero(row.field(second))) {
                    (true, true) => return false,
                    (true, false) => firsts += 1,
                    (false, true) => seconds += 1,
                    (false, false) => neither += 1,
                }
            }
            firsts > 0 && seconds > 0 && neither * 9 <= firsts + seconds
        };
        let first = (0..self.width().saturating_sub(1)).find(is_pair)?;
        let second = first + 1;
        let is_minus = |value: &str| numbers::shape(value).is_some_and(|shape| shape.is_negative);
        let all_minus = |column| self.values(column).filter(|value| is_above_zero(value)).all(is_minus);
        let is_out = |column| has_any(&self.name(column), MONEY_OUT) || all_minus(column);
        let is_in = |column| has_any(&self.name(column), MONEY_IN);
        Some(match (is_in(first) || is_out(second), is_in(second) || is_out(first)) {
            (true, false) => Money::InOut { money_in: first, money_out: second },
            (false, true) => Money::InOut { money_in: second, money_out: first },
            (true, true) | (false, false) => Money::Either([first, second]),
        })
    }

    /// Finds among several columns of amounts the one in the account's own currency, if that can be told: the currency
    /// beside it is the same in all rows, or its name says so.
    fn amount_of_the_account(&self, date: Option<usize>, is_amount: &dyn Fn(usize) -> bool) -> Option<usize> {
        let is_named = |column: &usize| is_amount(*column) && has_any(&self.name(*column), AMOUNT);
        let named: Vec<usize> = (0..self.width()).filter(is_named).collect();
        let rank = |column: usize| {
            let currencies = self.code_beside(column, date).map(|codes| self.codes(codes, date).len());
            let by_currency = match currencies {
                Some(1) => 0,
                None => 1,
                Some(_) => 2,
            };
            (by_currency, !self.has_name_of(column, OF_THE_ACCOUNT))
        };
        let best = named.iter().map(|column| rank(*column)).min()?;
        let worst = named.iter().map(|column| rank(*column)).max()?;
        // Their names may tell them apart where nothing else does.
        named.into_iter().find(|column| rank(*column) == best).filter(|_| best != worst)
    }

    /// The different codes of rows with a date.
    fn codes(&self, column: usize, date: Option<usize>) -> BTreeSet<&str> {
        self.dated(date).map(|row| row.field(column)).filter(|code| is_code(code)).collect()
    }

    /// Returns `true` if nearly all rows that have a date have the code of a currency there, known or not.
    fn is_codes(&self, column: usize, date: Option<usize>) -> bool {
        let is_named = has_any(&self.name(column), CURRENCY);
        let (mut codes, mut others) = (0, 0);
        for row in self.dated(date) {
            let field = row.field(column);
            let is_currency = is_code(field) && (is_named || (self.is_currency)(field));
            *(if is_currency { &mut codes } else { &mut others }) += 1;
        }
        codes > 0 && others * 9 <= codes
    }

    /// The column of currencies after a column, or else before it.
    fn code_beside(&self, column: usize, date: Option<usize>) -> Option<usize> {
        let beside = [Some(column + 1), column.checked_sub(1)];
        beside.into_iter().flatten().find(|other| *other < self.width() && self.is_codes(*other, date))
    }

    fn currency(&self, money: Option<&Money>, date: Option<usize>, taken: &[usize]) -> Option<usize> {
        let is_fit = |column: usize| {
            !taken.contains(&column) && !self.has_name_of(column, NOT_THE_AMOUNT) && self.is_codes(column, date)
        };
        let beside = match money {
            Some(Money::Signed(amount) | Money::Directed { amount, .. }) => self.code_beside(*amount, date),
            Some(Money::InOut { .. } | Money::Either(_)) | None => None,
        };
        let beside = beside.filter(|column| is_fit(*column));
        beside.or_else(|| self.find(CURRENCY, is_fit)).or_else(|| (0..self.width()).find(|column| is_fit(*column)))
    }

    /// A column that says nothing but credit and debit; or only one of the two, where no amount has a minus.
    fn direction(&self, amount: usize) -> Option<(usize, BTreeSet<String>, BTreeSet<String>)> {
        let has_minus = self.values(amount).any(|value| numbers::shape(value).is_some_and(|shape| shape.is_negative));
        for column in (0..self.width()).filter(|column| *column != amount && self.has_some(*column)) {
            let values: BTreeSet<&str> = self.values(column).filter(|value| !value.is_empty()).collect();
            let is_long = values.iter().all(|value| value.chars().count() > 1);
            let is_one_enough = is_long && !has_minus && self.values(column).any(str::is_empty);
            for (credit, debit) in DIRECTIONS.iter().filter(|_| values.len() <= 2) {
                let of = |words: &[&str]| -> BTreeSet<String> {
                    let is_so = |value: &&&str| words.contains(&value.to_lowercase().as_str());
                    values.iter().filter(is_so).map(|value| (*value).to_owned()).collect()
                };
                let nothing = || BTreeSet::from([String::new()]);
                let (credits, debits) = (of(credit), of(debit));
                if credits.len() + debits.len() != values.len() {
                    continue;
                }
                match (credits.is_empty(), debits.is_empty()) {
                    (false, false) => return Some((column, credits, debits)),
                    (false, true) if is_one_enough => return Some((column, credits, nothing())),
                    (true, false) if is_one_enough => return Some((column, nothing(), debits)),
                    (false, true) | (true, _) => {}
                }
            }
        }
        None
    }

    fn state(&self, taken: &[usize]) -> Option<(usize, BTreeSet<String>)> {
        let is_state = |column: usize| {
            let is_known = |value: &str| value.is_empty() || is_booked(value) || is_open(value);
            !taken.contains(&column) && self.has_some(column) && self.values(column).all(is_known)
        };
        let column = self.find(STATE, is_state).or_else(|| (0..self.width()).find(|column| is_state(*column)))?;
        let open = self.look.counts(column, STATES_MAX).into_keys().filter(|value| is_open(value));
        Some((column, open.collect()))
    }

    fn unknown_state(&self, taken: &[usize]) -> Option<(usize, BTreeMap<String, usize>)> {
        let is_fit = |column: usize| !taken.contains(&column) && self.has_some(column) && !self.is_amounts(column);
        let column = self.find(STATE, is_fit)?;
        let counts = self.look.counts(column, STATES_MAX);
        (2..STATES_MAX).contains(&counts.len()).then_some((column, counts))
    }

    fn account(&self, taken: &[usize]) -> Option<(usize, BTreeSet<String>)> {
        let is_account = |column: usize| {
            let accounts: BTreeSet<&str> = self.values(column).collect();
            !taken.contains(&column)
                && !self.has_name_of(column, NOT_THE_ACCOUNT)
                && accounts.len() <= ACCOUNTS_MAX
                && accounts.iter().all(|account| account.len() > 3 && account.contains(|c: char| c.is_ascii_digit()))
        };
        let column = self.find(ACCOUNT, is_account)?;
        let accounts: BTreeSet<String> = self.look.counts(column, ACCOUNTS_MAX + 1).into_keys().collect();
        // A column whose value is another one in each row is the other side's.
        let are_few = accounts.len() == 1 || accounts.len() * 2 <= self.look.row_count;
        (are_few && accounts.len() <= ACCOUNTS_MAX).then_some((column, accounts))
    }

    /// Columns of fees, and others with amounts.
    fn others(&self, taken: &[usize]) -> Vec<usize> {
        let is_other = |column: &usize| {
            let is_money = has_any(&self.name(*column), AMOUNT) && !self.has_name_of(*column, NOT_THE_AMOUNT);
            !taken.contains(column)
                && (is_money || has_any(&self.name(*column), FEE))
                && self.values(*column).any(is_above_zero)
        };
        (0..self.width()).filter(is_other).collect()
    }

    fn lacking_dates(&self, date: Option<usize>) -> Option<(usize, usize)> {
        let rows = self.dated(date).count();
        (0..self.width()).filter(|column| Some(*column) != date).find_map(|column| {
            let lacking = self.dated(date).filter(|row| row.field(column).is_empty()).count();
            let is_date = lacking > 0 && lacking * 2 <= rows && Dates::of(self.values(column)).is_some();
            is_date.then_some((column, lacking))
        })
    }

    /// The columns of text, in their order: those with names for texts, else those that have words in them.
    fn texts(&self, taken: &[usize]) -> Vec<usize> {
        let is_text = |column: &usize| {
            !taken.contains(column)
                && !self.look.names[*column].contains(['{', '}'])
                && !self.name(*column).contains("account")
                && !self.is_amounts(*column)
                && self.values(*column).any(|value| value.chars().any(char::is_alphabetic))
                && Dates::of(self.values(*column)).is_none()
        };
        let all: Vec<usize> = (0..self.width()).filter(is_text).collect();
        let named = |words: &[&str]| -> Vec<usize> {
            all.iter().copied().filter(|column| has_any(&self.name(*column), words)).take(TEXT_COLUMNS_MAX).collect()
        };
        // A text may take more fields than the header names.
        let named_columns = self.look.header.as_ref().map_or(self.width(), |header| header.fields.len());
        let beyond = all.iter().copied().filter(|column| *column >= named_columns);
        let mut texts_named = named(TEXT);
        if !texts_named.is_empty() {
            texts_named.extend(beyond);
        }
        let texts = [texts_named, named(KIND), all.iter().copied().take(TEXT_COLUMNS_MAX).collect()];
        texts.into_iter().find(|texts| !texts.is_empty()).unwrap_or_default()
    }
}

/// Returns `true` if a field has an amount, and not of zero.
pub(super) fn is_above_zero(field: &str) -> bool {
    numbers::shape(field).is_some_and(|shape| shape.digits.contains(|c| ('1'..='9').contains(&c)))
}

fn is_code(field: &str) -> bool {
    field.len() == 3 && field.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_booked(state: &str) -> bool {
    BOOKED.contains(&state.to_lowercase().as_str())
}

fn is_open(state: &str) -> bool {
    NOT_BOOKED.contains(&state.to_lowercase().as_str())
}

fn has_any(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| has_word(name, word))
}

/// A short word must stand by itself: "id" isn't in "paid".
fn has_word(name: &str, word: &str) -> bool {
    if word.chars().count() > 4 || !word.is_ascii() {
        return name.contains(word);
    }
    name.split(|c: char| !c.is_alphanumeric()).any(|part| part == word) || (word.len() == 4 && name.starts_with(word))
}
