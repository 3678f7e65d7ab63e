//! The description of the interface, and the pages for people that are made from it.

pub(crate) mod complete;
pub(crate) mod deprecation;
pub(crate) mod docs;
pub(crate) mod openapi;
pub(crate) mod pages;
pub(crate) mod strings;
