//! The state as canonical records, in the order of their keys: what its digest is taken over, and what a checkpoint
//! holds. The same state always makes the same bytes. Idempotency keys are an index of the past and left out.

use minicbor::{Decode, Encode};

use ledger::{Account, AccountId, Currency, Hold, HoldId, PostingId, Timestamp, Undone, ValueDate};

use crate::access::{AddressHash, Customer, NameIndex, Session, User, customer_record, session_record, user_record};
use crate::accounts::{AccountInfo, account_record};
use crate::payments::undone_record;
use crate::system::{self, Founding, ZoneFrom};
use crate::{CustomerId, Cut, ModulusRule, Right, Role, Sealed, State, TokenHash, UserId, codec};

/// One thing of the state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "each field is the state's field of that name, where it is documented")]
pub enum Record {
    /// The head: the last event, and what the bank was founded as. Comes first.
    #[n(0)]
    Head {
        #[n(0)]
        last_event: u64,
        #[n(1)]
        time_ms: Option<i64>,
        #[n(2)]
        name: Option<String>,
        #[n(3)]
        country: Option<String>,
        #[n(4)]
        bank_code: Option<String>,
        /// Left out where there is none, so that the digest of an older bank stays the same.
        #[n(5)]
        scheme: Option<u8>,
        /// The first day and the name of each time zone; left out where there is none, for the same reason.
        #[n(6)]
        time_zones: Option<Vec<(i32, String)>>,
        /// Left out as well where there is none.
        #[n(7)]
        digits: Option<u8>,
        /// Left out as well where there are none.
        #[n(8)]
        modulus: Option<Vec<ModulusRule>>,
    },
    /// A customer.
    #[n(1)]
    Customer {
        #[n(0)]
        name: Sealed,
        #[n(1)]
        accounts: Vec<u32>,
    },
    /// A user.
    #[n(2)]
    User {
        #[n(0)]
        name_index: NameIndex,
        #[n(1)]
        name: Sealed,
        #[n(2)]
        password: Sealed,
        #[n(3)]
        role: Role,
        #[n(4)]
        customer: Option<CustomerId>,
        #[n(5)]
        sessions: Vec<TokenHash>,
        #[n(6)]
        failed_at_ms: Option<i64>,
        // None where there are none, so that what has none is written as before there could be any.
        #[n(7)]
        known_addresses: Option<Vec<AddressHash>>,
    },
    /// An account.
    #[n(3)]
    Account {
        #[cbor(n(0), with = "codec::account")]
        account: Account,
        #[n(1)]
        number: u64,
        #[n(2)]
        name: Option<Sealed>,
        #[n(3)]
        rights: Vec<(CustomerId, Right)>,
    },
    /// A currency's cash account.
    #[n(4)]
    Cash {
        #[cbor(n(0), with = "codec::currency")]
        currency: Currency,
        #[cbor(n(1), with = "codec::account_id")]
        account: AccountId,
    },
    /// An open hold.
    #[n(5)]
    Hold {
        #[cbor(n(0), with = "codec::hold_id")]
        id: HoldId,
        #[cbor(n(1), with = "codec::hold")]
        hold: Hold,
    },
    /// The undone part of a posting: by leg, or all where there is no list.
    #[n(6)]
    Undone {
        #[cbor(n(0), with = "codec::posting_id")]
        id: PostingId,
        #[n(1)]
        refunded: Option<Vec<(u32, i64)>>,
    },
    /// A session.
    #[n(7)]
    Session {
        #[n(0)]
        token: TokenHash,
        #[n(1)]
        user: UserId,
        #[cbor(n(2), with = "codec::timestamp")]
        expires_at: Timestamp,
    },
}

/// Fault of records that don't make a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored state does not hold together: {0}")]
pub struct RestoreError(String);

/// Some records that follow each other in canonical order, and are written together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPage<'a> {
    /// The place of its kind in the canonical order.
    pub kind: u8,
    /// Its place among its kind.
    pub number: u64,
    /// The epoch in which it was last changed; see [`crate::Cut::epoch`].
    pub changed: u32,
    /// The records' bytes; none where there is nothing left of what there was.
    pub records: &'a [u8],
}

impl Cut {
    /// Gives all records in canonical order, page by page, to `take`.
    ///
    /// # Errors
    ///
    /// Ends with the first error of `take`.
    pub fn write_pages<E>(&self, take: impl FnMut(RecordPage<'_>) -> Result<(), E>) -> Result<(), E> {
        self.state.write_pages(take)
    }
}

/// Makes pages of records in memory that is used again and again.
struct Pager<T> {
    bytes: Vec<u8>,
    take: T,
}

impl<T> Pager<T> {
    fn page<E>(&mut self, kind: u8, number: u64, changed: u32, records: impl Iterator<Item = Record>) -> Result<(), E>
    where
        T: FnMut(RecordPage<'_>) -> Result<(), E>,
    {
        self.bytes.clear();
        for record in records {
            minicbor::encode(&record, &mut self.bytes).expect("a record can be encoded into memory");
        }
        (self.take)(RecordPage { kind, number, changed, records: &self.bytes })
    }
}

impl State {
    /// Gives the canonical bytes in order, some records at a time, to `take`: to a hash for the digest, to a file for a
    /// checkpoint.
    ///
    /// # Errors
    ///
    /// Ends with the first error of `take`.
    pub fn write_records<E>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.write_pages(|page| if page.records.is_empty() { Ok(()) } else { take(page.records) })
    }

    fn write_pages<E>(&self, take: impl FnMut(RecordPage<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut pager = Pager { bytes: Vec::new(), take };
        // The head changes with every event.
        pager.page(0, 0, u32::MAX, [self.head_record()].into_iter())?;
        for (number, changed, customers) in self.customers.pages() {
            pager.page(1, number, changed, customers.iter().map(customer_record))?;
        }
        for (number, changed, users) in self.users.pages() {
            pager.page(2, number, changed, users.iter().map(user_record))?;
        }
        let accounts = self.ledger.account_pages().pages();
        for ((number, changed, accounts), (_, info_changed, infos)) in accounts.zip(self.infos.pages()) {
            let records = accounts.iter().zip(infos).map(account_record);
            pager.page(3, number, changed.max(info_changed), records)?;
        }
        let cash = self.cash.iter().map(|(currency, account)| Record::Cash { currency: *currency, account: *account });
        pager.page(4, 0, u32::MAX, cash)?;
        for (number, changed, holds) in self.ledger.hold_pages().pages() {
            pager.page(5, number, changed, holds.iter().map(|(id, hold)| Record::Hold { id: *id, hold: *hold }))?;
        }
        for (number, changed, undone) in self.ledger.undone_pages().pages() {
            pager.page(6, number, changed, undone.iter().map(undone_record))?;
        }
        for (number, changed, sessions) in self.sessions.pages() {
            pager.page(7, number, changed, sessions.iter().map(session_record))?;
        }
        Ok(())
    }

    fn head_record(&self) -> Record {
        let founding = self.founding.as_ref();
        let time_zones = self.time_zones.iter().map(|zone| (zone.from.0, zone.name.clone()));
        Record::Head {
            last_event: self.last_event,
            time_ms: self.time.map(|at| at.0),
            name: founding.map(|founding| founding.name.clone()),
            country: founding.map(|founding| founding.numbering.country().to_owned()),
            bank_code: founding.map(|founding| founding.numbering.bank_code().to_owned()),
            scheme: founding.and_then(|founding| founding.numbering.scheme()),
            time_zones: (!self.time_zones.is_empty()).then(|| time_zones.collect()),
            digits: founding.and_then(|founding| founding.numbering.own_digits()),
            modulus: founding.and_then(|founding| founding.numbering.modulus().map(<[_]>::to_vec)),
        }
    }

    /// Adds one record, read back in canonical order, to a state that began as the default one.
    ///
    /// # Errors
    ///
    /// Fails if the founding's country, bank code, scheme and digits make no account numbers, if there are more users than can
    /// be numbered, or if a hold is on no account.
    pub fn restore(&mut self, record: Record) -> Result<(), RestoreError> {
        match record {
            Record::Head { last_event, time_ms, name, country, bank_code, scheme, time_zones, digits, modulus } => {
                self.last_event = last_event;
                self.time = time_ms.map(Timestamp);
                let zones = time_zones.unwrap_or_default().into_iter();
                self.time_zones = zones.map(|(from, name)| ZoneFrom { from: ValueDate(from), name }).collect();
                if let (Some(name), Some(country), Some(bank_code)) = (name, country, bank_code) {
                    let numbering = system::recorded(&country, &bank_code, scheme, digits, modulus.as_ref());
                    let numbering = numbering.map_err(|error| RestoreError(error.to_string()))?;
                    self.founding = Some(Founding { name, numbering });
                }
            }
            Record::Customer { name, accounts } => {
                let accounts = accounts.into_iter().map(AccountId).collect();
                self.customers.push(Customer { name, accounts });
            }
            Record::User { name_index, name, password, role, customer, sessions, failed_at_ms, known_addresses } => {
                let failed_at = failed_at_ms.map(Timestamp);
                let known_addresses = known_addresses.unwrap_or_default();
                let user = User { name_index, name, password, role, customer, sessions, failed_at, known_addresses };
                self.users.push(user);
                let number = u32::try_from(self.users.len()).map_err(|_| RestoreError("too many users".into()))?;
                self.user_names.insert(name_index, UserId(number));
            }
            Record::Account { account, number, name, rights } => {
                self.numbers.insert(number, self.ledger.next_account());
                self.ledger.restore_account(account);
                // Collected, because a vector would be kept as it is, with room for more.
                self.infos.push(AccountInfo { number, name, rights: rights.into_iter().collect() });
            }
            Record::Cash { currency, account } => {
                self.cash.insert(currency, account);
            }
            Record::Hold { id, hold } => {
                if self.ledger.account(hold.debit).is_none() {
                    return Err(RestoreError(format!("hold {} is on no account", id.event())));
                }
                self.put_hold(id, hold);
            }
            Record::Undone { id, refunded } => {
                let undone = match refunded {
                    None => Undone::Reversed,
                    Some(legs) => Undone::Refunded(legs.into_iter().collect()),
                };
                self.ledger.restore_undone(id, undone);
            }
            Record::Session { token, user, expires_at } => {
                self.sessions.insert(token, Session { user, expires_at });
            }
        }
        Ok(())
    }

    /// Reads records from their canonical bytes, as [`State::write_records`] gives them.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not records, or as [`State::restore`] does.
    pub fn restore_bytes(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let mut decoder = minicbor::Decoder::new(bytes);
        while decoder.position() < bytes.len() {
            self.restore(decoder.decode().map_err(|error| RestoreError(error.to_string()))?)?;
        }
        Ok(())
    }
}
