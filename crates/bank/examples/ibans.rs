//! Prints account numbers of a bank in each country whose form is known, one a line after the country: for
//! `tests/outside/ibans`, which shows them to other people's checkers.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use bank::Numbering;

/// Small numbers, which a bank gives first, enough to meet each remainder of eleven; and a thousand times these, for New
/// Zealand's bases.
const SMALL: u64 = 40;

fn main() -> Result<(), bank::NumberingError> {
    for (country, bank_code) in Numbering::examples() {
        let numbering = Numbering::new(country, bank_code)?;
        let largest = numbering.largest();
        for number in (1..=SMALL).chain((1..=SMALL).map(|base| base * 1_000)).chain([
            12_345,
            largest / 3,
            largest / 97 * 11,
            largest - 1,
            largest,
        ]) {
            let number = number.min(largest);
            if numbering.has(number) {
                println!("{country} {}", numbering.iban(number));
            }
        }
    }
    Ok(())
}
