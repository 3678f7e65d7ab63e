//! Access: signing in and out, users, customers and their rights.

pub(crate) mod customers;
pub(crate) mod rights;
pub(crate) mod sign_in;
pub(crate) mod users;
