//! Access: who is asking, signing in and out, users, customers and their rights on accounts.

mod caller;
mod customers;
pub mod password;
mod rights;
mod sign_in;
mod users;

pub use caller::SignedIn;
pub use customers::{CustomerPage, CustomerSearch, CustomerView, NewCustomer};
pub use rights::{ChangedRight, RightView};
pub use sign_in::{Attempt, Checked, MeView, NewSession, Proven};
pub use users::{NewUser, UserOrder, UserPage, UserView};
