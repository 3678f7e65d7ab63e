//! Torn copies of a SQLite database, by seeds: what `cp` may make of a file that is written meanwhile, and trees whose
//! pages are out of order, so that a walk along them would go round for ever.

/// The page size of all databases of a bank.
const PAGE: usize = 8_192;

/// The first byte of an interior page, and of a leaf, of a table (SQLite's file format, section 1.6).
const INTERIOR: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// The ways of tearing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tear {
    /// Two children of an interior page change places.
    ChildrenSwapped,
    /// A child of an interior page is named a second time, in the place of a later one.
    ChildRepeated,
    /// The last child is the first one again.
    LastIsFirst,
    /// An interior page is its own child.
    OwnChild,
    /// Two leaves change places.
    LeavesSwapped,
    /// Each page is of the one or of the other time.
    Mixed,
    /// The file's beginning is older than the rest.
    BeginningOlder,
    /// The file's beginning is newer than the rest, which is cut off.
    EndOlder,
    /// The interior pages are older than the rest.
    InteriorOlder,
}

/// All of them.
pub(crate) const TEARS: [Tear; 9] = [
    Tear::ChildrenSwapped,
    Tear::ChildRepeated,
    Tear::LastIsFirst,
    Tear::OwnChild,
    Tear::LeavesSwapped,
    Tear::Mixed,
    Tear::BeginningOlder,
    Tear::EndOlder,
    Tear::InteriorOlder,
];

/// Random numbers by a seed (SplitMix64), so that a failure can be had again.
pub(crate) fn draw(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((mixed ^ (mixed >> 31)) % below as u64).expect("it is below a size")
}

/// A torn copy of a database of which there are two copies in order, an older and a newer one.
pub(crate) fn torn(older: &[u8], newer: &[u8], tear: Tear, seed: u64) -> Vec<u8> {
    let mut seed = seed;
    let mut torn = newer.to_vec();
    match tear {
        Tear::ChildrenSwapped | Tear::ChildRepeated | Tear::LastIsFirst | Tear::OwnChild => {
            tear_tree(&mut torn, tear, &mut seed);
        }
        Tear::LeavesSwapped => {
            let leaves = pages(newer, LEAF, 1);
            let one = draw(&mut seed, leaves.len() - 1);
            let other = one + 1 + draw(&mut seed, leaves.len() - one - 1);
            put(&mut torn, leaves[one], page(newer, leaves[other]));
            put(&mut torn, leaves[other], page(newer, leaves[one]));
        }
        Tear::Mixed => {
            let older_pages = (1..older.len() / PAGE).filter(|_| draw(&mut seed, 2) == 0).collect::<Vec<_>>();
            older_pages.into_iter().for_each(|number| put(&mut torn, number, page(older, number)));
        }
        Tear::BeginningOlder => {
            let pages = 1 + draw(&mut seed, older.len() / PAGE - 1);
            torn[..pages * PAGE].copy_from_slice(&older[..pages * PAGE]);
        }
        Tear::EndOlder => {
            let pages = 1 + draw(&mut seed, older.len() / PAGE - 1);
            torn = [&newer[..pages * PAGE], &older[pages * PAGE..]].concat();
        }
        Tear::InteriorOlder => {
            pages(older, INTERIOR, 1).into_iter().for_each(|number| put(&mut torn, number, page(older, number)));
        }
    }
    torn
}

/// Changes what an interior page says of its children.
fn tear_tree(torn: &mut [u8], tear: Tear, seed: &mut u64) {
    let interior = pages(torn, INTERIOR, 4);
    let number = interior[draw(seed, interior.len())];
    let page = &mut torn[number * PAGE..][..PAGE];
    let places = child_places(page);
    let child = |page: &[u8], at: usize| <[u8; 4]>::try_from(&page[places[at]..places[at] + 4]).expect("four bytes");
    let first = draw(seed, places.len() - 1);
    let later = first + 1 + draw(seed, places.len() - first - 1);
    let last = places.len() - 1;
    let changes = match tear {
        Tear::ChildrenSwapped => vec![(first, child(page, later)), (later, child(page, first))],
        Tear::ChildRepeated => vec![(later, child(page, first))],
        Tear::LastIsFirst => vec![(last, child(page, 0))],
        // Pages are numbered from 1.
        _ => vec![(later, u32::try_from(number + 1).expect("a small file").to_be_bytes())],
    };
    for (at, value) in changes {
        page[places[at]..places[at] + 4].copy_from_slice(&value);
    }
}

/// Where an interior page names its children, in their order: in each cell, and the last in the page's head.
fn child_places(page: &[u8]) -> Vec<usize> {
    let two = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    (0..two(3)).map(|cell| two(12 + 2 * cell)).chain([8]).collect()
}

/// The pages of a kind that have at least so many cells; not the first page, which holds the schema.
fn pages(file: &[u8], kind: u8, cells: u16) -> Vec<usize> {
    let fits = |page: &[u8]| page[0] == kind && u16::from_be_bytes([page[3], page[4]]) >= cells;
    (1..file.len() / PAGE).filter(|number| fits(page(file, *number))).collect()
}

fn page(file: &[u8], number: usize) -> &[u8] {
    &file[number * PAGE..][..PAGE]
}

fn put(file: &mut [u8], number: usize, page: &[u8]) {
    file[number * PAGE..][..PAGE].copy_from_slice(page);
}
