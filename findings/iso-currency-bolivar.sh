#!/usr/bin/env bash
# iso_currency 0.7.1 (crates.io) against pycountry 24.6.1 (PyPI), which brings the iso-codes list of ISO 4217.
#
# One expects `is_superseded` to be true of currencies that ISO 4217 has withdrawn (its list three). Of VES, the bolívar
# soberano, it says that VED took its place, while list one has both side by side: VES is the currency of Venezuela's
# accounts and cards. It matters for a payment server that asks this flag which currencies may be had: it would refuse VES,
# and take XAD, CHE and other units in which nobody holds money, which carry other flags.
#
# Prints versions and what each says; exits 1 if that is no longer so. Needs cargo, and python3 with venv.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check pycountry==24.6.1
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "asked"
version = "0.0.0"
edition = "2021"

[dependencies]
iso_currency = "=0.7.1"
TOML
cat >src/main.rs <<'RUST'
fn main() {
    for code in std::env::args().skip(1) {
        let superseded = iso_currency::Currency::from_code(&code).map(|currency| currency.is_superseded());
        println!("{code} superseded by {superseded:?}");
    }
}
RUST
CARGO_TARGET_DIR=$folder/target cargo build --quiet

codes=(VES VED HRK CHE)
echo "iso_currency 0.7.1 says:"
target/debug/asked "${codes[@]}" | tee said
echo "the list of ISO 4217 in pycountry 24.6.1 has:"
python/bin/python -c 'import sys, pycountry; [print(c, pycountry.currencies.get(alpha_3=c)) for c in sys.argv[1:]]' "${codes[@]}" | tee has

grep -q '^VES superseded by Some(Some(VED))' said && grep -q '^CHE superseded by Some(None)' said
grep -q "^VES Currency(.*name='Bolívar Soberano'" has && grep -q "^VED Currency(" has
