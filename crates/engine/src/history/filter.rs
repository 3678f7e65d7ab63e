//! The binary fuse filter (Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", 2022) with
//! three places a key and twelve bits a place: 1.7 bytes a key, and one stranger in 4,096 is taken for a member.
//!
//! The libraries at hand have eight bits, which would send one look in 256 to the disk, or sixteen, which would pass the
//! bound on memory. Keys are 64-bit numbers that are random already.

use std::io;

/// How often a filter is tried with another seed. A try fails about once in a hundred times, so this never comes about.
const MAX_TRIES: u64 = 64;

const FINGERPRINT_BITS: usize = 12;

/// A set of keys that is sure of its members, and nearly sure of strangers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    seed: u64,
    segment_length: u32,
    segments: u32,
    /// Twelve bits each, two in three bytes, and a byte more so that two can be read at any of them.
    fingerprints: Vec<u8>,
}

impl Filter {
    /// The filter of `keys`, which are brought in order if two of them are the same.
    pub(super) fn of(keys: &mut Vec<u64>) -> Self {
        let tried = (0..MAX_TRIES).find_map(|seed| {
            let filter = Self::attempt(keys, seed);
            // No order is found for a key that comes twice, whatever the seed.
            if filter.is_none() {
                keys.sort_unstable();
                keys.dedup();
            }
            filter
        });
        tried.expect("one seed in a hundred fails")
    }

    fn empty(keys: usize, seed: u64) -> Self {
        // The paper's sizes for three places a key.
        let count = keys.max(2) as f64;
        let segment_length = 1_u32 << ((count.ln() / 3.33_f64.ln() + 2.25).floor() as u32).min(18);
        let factor = (0.875 + 0.25 * 1_000_000_f64.ln() / count.ln()).max(1.125);
        let capacity = if keys < 2 { 0 } else { (count * factor).round() as u32 };
        let segments = capacity.div_ceil(segment_length).saturating_sub(2).max(1);
        let places = ((segments + 2) * segment_length) as usize;
        Self { seed, segment_length, segments, fingerprints: vec![0; (places * FINGERPRINT_BITS).div_ceil(8) + 1] }
    }

    /// Finds an order in which each key has a place that no later key needs, and fills the places backwards. None when
    /// this seed allows no such order.
    fn attempt(keys: &[u64], seed: u64) -> Option<Self> {
        let mut filter = Self::empty(keys.len(), seed);
        let places = ((filter.segments + 2) * filter.segment_length) as usize;
        // Of the keys that fall on each place: how many, the exclusive or of which of their three it is, and of them.
        let mut counts = vec![0_u32; places];
        let mut which = vec![0_u8; places];
        let mut sums = vec![0_u64; places];
        for key in keys {
            let hash = filter.hash(*key);
            for (number, place) in (0..).zip(filter.places(hash)) {
                counts[place] += 1;
                which[place] ^= number;
                sums[place] ^= hash;
            }
        }
        let mut alone: Vec<u32> = (0_u32..).zip(&counts).filter(|(_, count)| **count == 1).map(|(at, _)| at).collect();
        let mut order = Vec::with_capacity(keys.len());
        while let Some(place) = alone.pop() {
            let place = place as usize;
            if counts[place] != 1 {
                continue;
            }
            let (hash, own) = (sums[place], which[place]);
            order.push((hash, own));
            for (number, other) in (0..).zip(filter.places(hash)) {
                counts[other] -= 1;
                which[other] ^= number;
                sums[other] ^= hash;
                if counts[other] == 1 {
                    alone.push(u32::try_from(other).expect("places are counted in 32 bits"));
                }
            }
        }
        if order.len() < keys.len() {
            return None;
        }
        for (hash, own) in order.into_iter().rev() {
            let places = filter.places(hash);
            let place = places[usize::from(own)];
            let others = places.into_iter().filter(|other| *other != place).map(|other| filter.get(other));
            let fingerprint = others.fold(fingerprint(hash), |sum, other| sum ^ other);
            filter.set(place, fingerprint);
        }
        Some(filter)
    }

    /// Whether `key` is a member. Never wrong about those that are.
    pub(super) fn contains(&self, key: u64) -> bool {
        let hash = self.hash(key);
        let [first, second, third] = self.places(hash);
        fingerprint(hash) == self.get(first) ^ self.get(second) ^ self.get(third)
    }

    /// MurmurHash3's finaliser.
    fn hash(&self, key: u64) -> u64 {
        let mut hash = key.wrapping_add(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }

    /// The three places of a hash, in three segments that follow each other.
    fn places(&self, hash: u64) -> [usize; 3] {
        let length = u64::from(self.segment_length);
        let first = ((u128::from(hash) * u128::from(u64::from(self.segments) * length)) >> 64) as u64;
        let second = (first + length) ^ ((hash >> 18) & (length - 1));
        let third = (first + 2 * length) ^ (hash & (length - 1));
        [first as usize, second as usize, third as usize]
    }

    fn get(&self, place: usize) -> u16 {
        let at = place * FINGERPRINT_BITS / 8;
        let two = u16::from_le_bytes([self.fingerprints[at], self.fingerprints[at + 1]]);
        if place.is_multiple_of(2) { two & 0xfff } else { two >> 4 }
    }

    fn set(&mut self, place: usize, fingerprint: u16) {
        let at = place * FINGERPRINT_BITS / 8;
        let old = u16::from_le_bytes([self.fingerprints[at], self.fingerprints[at + 1]]);
        let new = if place.is_multiple_of(2) { (old & 0xf000) | fingerprint } else { (old & 0xf) | fingerprint << 4 };
        self.fingerprints[at..at + 2].copy_from_slice(&new.to_le_bytes());
    }

    pub(super) fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(&self.seed.to_be_bytes())?;
        out.write_all(&self.segment_length.to_be_bytes())?;
        out.write_all(&self.segments.to_be_bytes())?;
        out.write_all(&(self.fingerprints.len() as u64).to_be_bytes())?;
        out.write_all(&self.fingerprints)
    }

    pub(super) fn read(input: &mut impl io::Read) -> io::Result<Self> {
        let mut number = [0; 8];
        input.read_exact(&mut number)?;
        let seed = u64::from_be_bytes(number);
        let mut half = [0; 4];
        input.read_exact(&mut half)?;
        let segment_length = u32::from_be_bytes(half);
        input.read_exact(&mut half)?;
        let segments = u32::from_be_bytes(half);
        input.read_exact(&mut number)?;
        let mut fingerprints = vec![0; usize::try_from(u64::from_be_bytes(number)).map_err(io::Error::other)?];
        input.read_exact(&mut fingerprints)?;
        Ok(Self { seed, segment_length, segments, fingerprints })
    }
}

fn fingerprint(hash: u64) -> u16 {
    ((hash ^ (hash >> 32)) & 0xfff) as u16
}

#[cfg(test)]
mod tests {
    use super::Filter;

    /// Random-looking, and all different: SplitMix64 is a permutation.
    fn key(number: u64) -> u64 {
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    #[test]
    fn every_member_is_known_and_hardly_a_stranger() {
        for count in [0_u64, 1, 2, 3, 10, 100, 1_000, 10_000, 262_144] {
            let mut keys: Vec<u64> = (0..count).map(key).collect();
            let filter = Filter::of(&mut keys);
            assert!(keys.iter().all(|key| filter.contains(*key)), "of {count}");
            let strangers = (0..1 << 20).filter(|number| filter.contains(key(count + 1 + number))).count();
            // One in 4,096 is expected, 256 of a million; an empty filter has all fingerprints zero.
            assert!((150..400).contains(&strangers), "of {count}: {strangers} strangers");
        }
    }

    #[test]
    fn a_key_costs_less_than_two_bytes() {
        let mut keys: Vec<u64> = (0..262_144).map(key).collect();
        let filter = Filter::of(&mut keys);
        let mut bytes = Vec::new();
        filter.write(&mut bytes).expect("memory takes it");
        assert!(bytes.len() * 10 < keys.len() * 18, "{} bytes", bytes.len());
        assert_eq!(Filter::read(&mut bytes.as_slice()).expect("it reads back"), filter);
    }

    #[test]
    fn a_key_may_come_twice() {
        let mut keys: Vec<u64> = (0..1_000).chain(0..10).map(key).collect();
        let filter = Filter::of(&mut keys);
        assert!((0..1_000).all(|number| filter.contains(key(number))));
    }
}
