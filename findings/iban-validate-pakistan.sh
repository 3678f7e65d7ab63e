#!/usr/bin/env bash
# iban_validate 5.0.1 (crates.io) against python-stdnum 2.2 (PyPI).
#
# One expects that a checker of IBANs takes the examples of the IBAN registry. iban_validate doesn't know Pakistan (in the
# registry since 2012) nor Honduras: it says of their IBANs that the country is unknown, while python-stdnum takes them.
# It matters for a payment server because whoever turns that into "a typing error" tells a payer that a right number is
# wrong; the two have to be told apart, by the variant of the error.
#
# Prints versions and what each says; exits 1 if that is no longer so. Needs cargo, and python3 with venv.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check python-stdnum==2.2
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "asked"
version = "0.0.0"
edition = "2021"

[dependencies]
iban_validate = "=5.0.1"
TOML
cat >src/main.rs <<'RUST'
fn main() {
    for text in std::env::args().skip(1) {
        println!("{text} {:?}", text.parse::<iban::Iban>().map(|iban| iban.to_string()));
    }
}
RUST
CARGO_TARGET_DIR=$folder/target cargo build --quiet

numbers=(PK36SCBL0000001123456702 HN88CABF00000000000250005469 AT611904300234573201)
echo "iban_validate 5.0.1 says:"
target/debug/asked "${numbers[@]}" | tee said
echo "python-stdnum 2.2 says:"
python/bin/python -c 'import sys; from stdnum import iban; [print(n, iban.is_valid(n)) for n in sys.argv[1:]]' "${numbers[@]}" | tee says

[ "$(grep -c 'Err(UnknownCountry' said)" = 2 ] && grep -q '^AT.* Ok(' said && [ "$(grep -c ' True$' says)" = 3 ]
