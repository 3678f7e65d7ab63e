//! The pages for people: that every link leads somewhere, and that nothing is loaded but the style sheet.

use std::collections::{BTreeMap, BTreeSet};

use crate::bank_under_test::{Bank, Call};
use crate::conformance::DESCRIPTION;

/// Every kind of problem that was ever released. Journals and clients keep the names, so none may go.
const KINDS: &str = include_str!("kinds-of-problem.txt");

#[test]
fn no_kind_of_problem_goes_away() {
    let released: BTreeSet<&str> = KINDS.lines().collect();
    let today: BTreeSet<&str> = api::slugs().map(|(slug, _)| slug).collect();
    let gone: Vec<_> = released.difference(&today).collect();
    assert!(gone.is_empty(), "gone: {gone:?}");
    let new: Vec<_> = today.difference(&released).collect();
    assert!(new.is_empty(), "add to kinds-of-problem.txt, for ever: {new:?}");
}

/// What stands between `start` and the next quotation mark, wherever `start` is.
fn quoted<'a>(html: &'a str, start: &str) -> Vec<&'a str> {
    html.split(start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn every_link_leads_somewhere_and_nothing_is_loaded() {
    let bank = Bank::new().await;
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    let mut waiting = vec!["/".to_owned()];
    let mut links: BTreeSet<(String, String)> = BTreeSet::new();
    while let Some(address) = waiting.pop() {
        if pages.contains_key(&address) {
            continue;
        }
        let answer = bank.send(Call::new("GET", &address)).await;
        let ready = address == "/health/ready" || address == "/metrics" || address == "/openapi.json";
        assert_eq!(answer.status, 200, "{address}");
        let html = if ready { String::new() } else { answer.text() };
        if !ready && address != "/style.css" {
            assert!(answer.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
            for foreign in ["<script", "<style", " style=", " onclick=", " src=", "<iframe", "http-equiv"] {
                assert!(!html.contains(foreign), "{foreign} in {address}");
            }
            for needed in ["<!doctype html>", "lang=\"en\"", "name=\"viewport\"", "<title>", "<h1>", "<main"] {
                assert!(html.contains(needed), "{needed} in {address}");
            }
        }
        for link in quoted(&html, "href=\"") {
            let (page, anchor) = link.split_once('#').unwrap_or((link, ""));
            let page = if page.is_empty() { &address } else { page };
            if page.starts_with('/') {
                links.insert((page.to_owned(), anchor.to_owned()));
                waiting.push(page.to_owned());
            } else {
                assert!(page.starts_with("https://"), "{link} in {address}");
            }
        }
        pages.insert(address, html);
    }
    for (page, anchor) in links.iter().filter(|(_, anchor)| !anchor.is_empty()) {
        assert!(pages[page].contains(&format!("id=\"{anchor}\"")), "{page} has no #{anchor}");
    }
    for (slug, advice) in api::slugs() {
        let page = pages.get(&format!("/problems/{slug}")).unwrap_or_else(|| panic!("nothing leads to {slug}"));
        let words = page.replace("<code>", "`").replace("</code>", "`");
        assert!(words.contains(&advice.replace('>', "&gt;")), "{slug}");
    }
    let operations = DESCRIPTION["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
    for (_, operation) in operations {
        let id = operation["operationId"].as_str().unwrap();
        let shown = links.iter().any(|(_, anchor)| anchor == id);
        assert!(shown, "the documentation does not list {id}");
    }
    assert_eq!(bank.send(Call::new("GET", "/docs/nothing")).await.slug(), "not-found");
}
