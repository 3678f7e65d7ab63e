//! Which column means what, by the names that banks give their columns and by what stands in them.

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
];
const NOT_THE_AMOUNT: &[&str] = &[
    "balance", "saldo", "fee", "original", "foreign", "fremd", "kurs", "rate", "target", "orig", "entgelt", "gebühr",
    "tax",
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
];
const BALANCE: &[&str] = &["balance", "running bal", "saldo", "solde", "kontostand", "差引残高", "残高"];
const CURRENCY: &[&str] =
    &["currency", "währung", "waehrung", "devise", "moneda", "moeda", "munt", "ccy", "通貨", "valuta"];
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
const STATE: &[&str] = &["state", "status", "statut", "estado", "situação", "info"];
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
];
const NOT_THE_ACCOUNT: &[&str] = &[
    "counter", "gegen", "tegen", "payee", "partner", "zahlung", "begünst", "beguenst", "name", "other", "empf", "to ",
    "from ",
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
];
const KIND: &[&str] = &["transaction type", "type", "category", "tipo", "art"];

/// Values that say that a row is booked.
const BOOKED: &[&str] =
    &["completed", "booked", "posted", "settled", "cleared", "success", "umsatz gebucht", "gebucht", "comptabilisé"];
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

/// Where the money stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Money {
    Signed(usize),
    Directed { amount: usize, direction: usize, credit: BTreeSet<String>, debit: BTreeSet<String> },
    InOut { money_in: usize, money_out: usize },
}

/// What the columns mean.
#[derive(Debug)]
pub(super) struct Roles {
    pub(super) date: Option<(usize, Dates)>,
    pub(super) money: Option<Money>,
    pub(super) balance: Option<usize>,
    pub(super) currency: Option<usize>,
    pub(super) id: Option<usize>,
    /// Columns with a name for an id whose values aren't all different.
    pub(super) repeated_id: Option<usize>,
    /// The column, and the values that aren't booked.
    pub(super) state: Option<(usize, BTreeSet<String>)>,
    /// The column, and the accounts that it names.
    pub(super) account: Option<(usize, BTreeSet<String>)>,
    pub(super) texts: Vec<usize>,
    /// A column with amounts that nobody booked, such as fees.
    pub(super) fees: Option<usize>,
}

impl Roles {
    /// Finds them.
    pub(super) fn of(look: &Look, is_currency: &dyn Fn(&str) -> bool) -> Self {
        let columns = Columns { look };
        let date = columns.date();
        let money = columns.money();
        let mut taken: Vec<usize> = date.iter().map(|(column, _)| *column).collect();
        taken.extend(money.iter().flat_map(Money::columns));
        let balance = columns.find(BALANCE, |column| !taken.contains(&column) && columns.is_amounts(column));
        taken.extend(balance);
        let dated = date.as_ref().map(|(column, _)| *column);
        let codes = |column: usize| {
            let is_needed = |row: &&Record| dated.is_none_or(|date| !row.field(date).is_empty());
            let mut values = look.rows.iter().filter(is_needed).map(|row| row.field(column));
            !taken.contains(&column)
                && !NOT_THE_AMOUNT.iter().any(|word| columns.name(column).contains(word))
                && columns.has_some(column)
                && values.all(is_currency)
        };
        let currency = columns.find(CURRENCY, codes).or_else(|| (0..columns.width()).find(|column| codes(*column)));
        taken.extend(currency);
        let ids = |column: usize| !taken.contains(&column) && columns.has_some(column);
        let id = columns.find(ID, |column| ids(column) && columns.is_unique(column));
        let repeated_id = columns.find(ID, |column| ids(column) && !columns.is_unique(column)).filter(|_| id.is_none());
        taken.extend(id);
        let state = columns.state(&taken);
        taken.extend(state.iter().map(|(column, _)| *column));
        let account = columns.account(&taken);
        taken.extend(account.iter().map(|(column, _)| *column));
        let fees = columns.find(&["fee", "gebühr", "entgelt"], |column| {
            !taken.contains(&column)
                && columns.values(column).any(|value| {
                    numbers::shape(value).is_some_and(|shape| shape.digits.contains(|c| ('1'..='9').contains(&c)))
                })
        });
        let texts = columns.texts(&taken);
        Self { date, money, balance, currency, id, repeated_id, state, account, texts, fees }
    }
}

impl Money {
    /// The columns that it stands in.
    pub(super) fn columns(&self) -> Vec<usize> {
        match self {
            Self::Signed(amount) => vec![*amount],
            Self::Directed { amount, direction, .. } => vec![*amount, *direction],
            Self::InOut { money_in, money_out } => vec![*money_in, *money_out],
        }
    }

    /// The columns with amounts.
    pub(super) fn amounts(&self) -> Vec<usize> {
        match self {
            Self::Signed(amount) | Self::Directed { amount, .. } => vec![*amount],
            Self::InOut { money_in, money_out } => vec![*money_in, *money_out],
        }
    }
}

/// Whether a text tells of a balance, not of a payment.
pub(super) fn tells_a_balance(text: &str) -> bool {
    let text = text.to_lowercase();
    BALANCE_WORDS.iter().any(|words| text.starts_with(words))
}

struct Columns<'l> {
    look: &'l Look,
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

    fn is_unique(&self, column: usize) -> bool {
        let mut seen = BTreeSet::new();
        self.values(column).all(|value| !value.is_empty() && seen.insert(value))
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

    fn money(&self) -> Option<Money> {
        let is_other = |column: usize| NOT_THE_AMOUNT.iter().any(|word| self.name(column).contains(word));
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
        let with_decimals = |column: &usize| {
            is_amount(*column)
                && !has_any(&self.name(*column), BALANCE)
                && self.values(*column).any(|value| value.contains(['.', ',']))
        };
        let amount = self.find(AMOUNT, is_amount).or_else(|| (0..self.width()).find(with_decimals))?;
        let Some((direction, credit, debit)) = self.direction(amount) else { return Some(Money::Signed(amount)) };
        Some(Money::Directed { amount, direction, credit, debit })
    }

    /// A column that says nothing but credit and debit, and both or under a name that says so.
    fn direction(&self, amount: usize) -> Option<(usize, BTreeSet<String>, BTreeSet<String>)> {
        for column in (0..self.width()).filter(|column| *column != amount && self.has_some(*column)) {
            let values: BTreeSet<&str> = self.values(column).filter(|value| !value.is_empty()).collect();
            for (credit, debit) in DIRECTIONS.iter().filter(|_| values.len() <= 2) {
                let of = |words: &[&str]| -> BTreeSet<String> {
                    values
                        .iter()
                        .filter(|value| words.contains(&value.to_lowercase().as_str()))
                        .map(|value| (*value).to_owned())
                        .collect()
                };
                let (credits, debits) = (of(credit), of(debit));
                if credits.len() + debits.len() == values.len() && !credits.is_empty() && !debits.is_empty() {
                    return Some((column, credits, debits));
                }
            }
        }
        None
    }

    fn state(&self, taken: &[usize]) -> Option<(usize, BTreeSet<String>)> {
        let lower = |value: &str| value.to_lowercase();
        let is_state = |column: usize| {
            let is_known = |value: &str| {
                value.is_empty()
                    || BOOKED.contains(&lower(value).as_str())
                    || NOT_BOOKED.contains(&lower(value).as_str())
            };
            !taken.contains(&column) && self.has_some(column) && self.values(column).all(is_known)
        };
        let column = self.find(STATE, is_state).or_else(|| (0..self.width()).find(|column| is_state(*column)))?;
        let open = self.values(column).filter(|value| NOT_BOOKED.contains(&lower(value).as_str())).map(str::to_owned);
        Some((column, open.collect()))
    }

    fn account(&self, taken: &[usize]) -> Option<(usize, BTreeSet<String>)> {
        let is_account = |column: usize| {
            let name = self.name(column);
            let accounts: BTreeSet<&str> = self.values(column).collect();
            !taken.contains(&column)
                && !NOT_THE_ACCOUNT.iter().any(|word| name.contains(word))
                && accounts.len() <= ACCOUNTS_MAX
                && accounts.iter().all(|account| account.len() > 3 && account.contains(|c: char| c.is_ascii_digit()))
        };
        let column = self.find(ACCOUNT, is_account)?;
        let accounts: BTreeSet<String> = self.values(column).map(str::to_owned).collect();
        // A column whose value is another one in each row is the other side's.
        (accounts.len() == 1 || accounts.len() * 2 <= self.look.rows.len()).then_some((column, accounts))
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
        let texts = [named(TEXT), named(KIND), all.iter().copied().take(TEXT_COLUMNS_MAX).collect()];
        texts.into_iter().find(|texts| !texts.is_empty()).unwrap_or_default()
    }
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
