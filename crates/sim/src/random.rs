//! Chance from a seed: SplitMix64 (Steele, Lea and Flood, 2014). The same seed gives the same numbers for ever.

/// A source of numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The source of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is more than zero. (The remainder favours small ones by less than can matter here.)
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// A place in a list of `length`, which is more than zero.
    pub fn place(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).expect("a list's length fits");
        usize::try_from(self.below(length)).expect("it is below the length")
    }

    /// A number of minor units or milliseconds below `end`, which is more than zero.
    pub fn amount(&mut self, end: i64) -> i64 {
        i64::try_from(self.below(end.unsigned_abs())).expect("it is below the end")
    }

    /// Draws whether something happens that happens once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of a list; none of an empty one.
    pub fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        if list.is_empty() { None } else { Some(list[self.place(list.len())].clone()) }
    }
}
