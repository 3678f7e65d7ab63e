//! Prints account numbers of a bank in each country in which one can be founded, one a line: for `tests/outside/ibans`,
//! which shows them to other people's checkers.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use bank::Numbering;

/// A bank code of each country, from the examples of the IBAN registry where these have check digits that fit.
const BANKS: [(&str, &str); 75] = [
    ("AD", "00012030"),
    ("AE", "033"),
    ("AL", "21211009"),
    ("AT", "19043"),
    ("AZ", "NABZ"),
    ("BA", "129007"),
    ("BE", "320"),
    ("BG", "BNBG9661"),
    ("BH", "BMAG"),
    ("BY", "NBRB"),
    ("CH", "00762"),
    ("CR", "0152"),
    ("CY", "00200128"),
    ("CZ", "0800"),
    ("DE", "37040044"),
    ("DO", "BAGR"),
    ("EE", "22"),
    ("EG", "00190005"),
    ("ES", "21000418"),
    ("FI", "123"),
    ("FK", "SC"),
    ("FR", "2004101005"),
    ("GB", "NWBK601613"),
    ("GE", "NB"),
    ("GI", "NWBK"),
    ("GR", "0110125"),
    ("GT", "TRAJ"),
    ("HR", "1001005"),
    ("HU", "1177301"),
    ("IE", "AIBK931152"),
    ("IL", "010800"),
    ("IQ", "NBIQ850"),
    ("IT", "0542811101"),
    ("JO", "CBJO0010"),
    ("KW", "CBKU"),
    ("KZ", "125"),
    ("LB", "0999"),
    ("LC", "HEMM"),
    ("LI", "08810"),
    ("LT", "10000"),
    ("LU", "001"),
    ("LV", "BANK"),
    ("LY", "002048"),
    ("MC", "1122200001"),
    ("MD", "AG"),
    ("ME", "505"),
    ("MK", "250"),
    ("MN", "1234"),
    ("MR", "0002000101"),
    ("MT", "MALT01100"),
    ("NI", "BAPR"),
    ("NL", "ABNA"),
    ("NO", "8601"),
    ("OM", "018"),
    ("PL", "10901014"),
    ("PS", "PALS"),
    ("PT", "00020123"),
    ("QA", "DOHB"),
    ("RO", "AAAA"),
    ("RS", "260"),
    ("SA", "80"),
    ("SD", "29"),
    ("SI", "26330"),
    ("SK", "1200"),
    ("SM", "0322509800"),
    ("SO", "1000001"),
    ("SV", "CENR"),
    ("TL", "008"),
    ("TN", "10006"),
    ("TR", "00061"),
    ("UA", "322313"),
    ("VA", "001"),
    ("VG", "VPVG"),
    ("XK", "1212"),
    ("YE", "CBYE0001"),
];

/// Small numbers, which a bank gives first, enough to meet each remainder of eleven.
const SMALL: u64 = 40;

fn main() -> Result<(), bank::NumberingError> {
    for (country, bank_code) in BANKS {
        let numbering = Numbering::new(country, bank_code)?;
        let largest = numbering.largest();
        for number in (1..=SMALL).chain([12_345, largest / 3, largest / 97 * 11, largest - 1, largest]) {
            println!("{}", numbering.iban(number.min(largest)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_there() {
        let refused = Numbering::new("XX", "1").unwrap_err().to_string();
        let possible = refused.split_once("are: ").unwrap().1.split(' ');
        assert_eq!(BANKS.map(|(country, _)| country).to_vec(), possible.collect::<Vec<_>>());
    }
}
