//! The binary fuse filter (Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", 2022) with
//! three places a key and twelve bits a place: 1.7 bytes a key, and one stranger in 4,096 is taken for a member.
//!
//! The libraries at hand have eight bits, which would send one look in 256 to the disk, or sixteen, which would pass the
//! bound on memory. Keys are 64-bit numbers that are random already.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places are counted in far fewer than 32 bits"
)]

use std::io::{self, Read, Write};

use memmap2::{Advice, MmapMut};

/// Limit of the tries to make a filter, each with another seed. A try fails about once in a hundred times, with few
/// sizes four times in five, so this never comes about.
const MAX_TRIES: u64 = 64;

/// After so many a filter is made a little larger.
const TRIES_PER_SIZE: u64 = 3;

const FINGERPRINT_BITS: usize = 12;

/// A set of keys that is sure of its members, and nearly sure of strangers.
struct Filter {
    shape: Shape,
    /// Twelve bits each, two in three bytes, and a byte more so that two can be read at any of them.
    fingerprints: Vec<u8>,
}

/// All that a filter is beside its fingerprints.
#[derive(Clone, Copy)]
struct Shape {
    seed: u64,
    segment_length: u32,
    segments: u32,
}

/// Places of a key's fingerprints, as bytes and bits, and the value they must come to.
#[derive(Clone, Copy, Default)]
struct Look {
    at: [(usize, u8); 3],
    fingerprint: u16,
}

/// Enough to have as many fetches under way as a processor can.
const LOOKS_AT_ONCE: usize = 32;

/// The filters of one run, one after the other in one piece of memory. It is asked for in huge pages where the system
/// has them: a look goes to places far apart, and would wait longer for the pages' addresses than for the pages.
pub(super) struct Filters {
    shapes: Vec<(Shape, usize)>,
    memory: MmapMut,
    used: usize,
}

impl Filters {
    /// For filters of so many keys together, about. Memory is taken as it is used.
    pub(super) fn with_capacity(keys: u64) -> io::Result<Self> {
        let bytes = usize::try_from(keys.saturating_mul(2)).map_err(io::Error::other)?;
        Ok(Self { shapes: Vec::new(), memory: memory(bytes + (1 << 16))?, used: 0 })
    }

    /// Returns the number of filters.
    pub(super) fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Adds the filter of `keys`, which are brought in order if two of them are the same.
    pub(super) fn push(&mut self, keys: &mut Vec<u64>) -> io::Result<()> {
        let Filter { shape, fingerprints } = Filter::of(keys);
        self.room(fingerprints.len())?.copy_from_slice(&fingerprints);
        self.add(shape);
        Ok(())
    }

    /// Returns `true` if `key` is a member of a filter. Never wrong about those that are.
    pub(super) fn contains(&self, filter: usize, key: u64) -> bool {
        self.agrees(&self.look(filter, key))
    }

    /// The places among `keys`, each given with its filter, of those that are members.
    pub(super) fn members(&self, keys: &[(usize, u64)], mut found: impl FnMut(usize)) {
        // The places of many keys are known before the first is looked at, so that the processor fetches many at once:
        // nearly all the time is spent waiting for memory.
        let mut looks = [Look::default(); LOOKS_AT_ONCE];
        for (number, keys) in keys.chunks(LOOKS_AT_ONCE).enumerate() {
            for (look, (filter, key)) in looks.iter_mut().zip(keys) {
                *look = self.look(*filter, *key);
            }
            for (place, look) in looks[..keys.len()].iter().enumerate() {
                if self.agrees(look) {
                    found(number * LOOKS_AT_ONCE + place);
                }
            }
        }
    }

    fn look(&self, filter: usize, key: u64) -> Look {
        let (shape, start) = self.shapes[filter];
        let hash = shape.hash(key);
        let at = shape.places(hash).map(|place| {
            let (byte, shift) = bits_of(place);
            (start + byte, shift)
        });
        Look { at, fingerprint: fingerprint(hash) }
    }

    fn agrees(&self, look: &Look) -> bool {
        let found = look.at.map(|(byte, shift)| fingerprint_in(&self.memory, byte, shift));
        found[0] ^ found[1] ^ found[2] == look.fingerprint
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (shape, start) in &self.shapes {
            out.write_all(&shape.seed.to_be_bytes())?;
            out.write_all(&shape.segment_length.to_be_bytes())?;
            out.write_all(&shape.segments.to_be_bytes())?;
            out.write_all(&self.memory[*start..start + shape.bytes()])?;
        }
        Ok(())
    }

    /// Adds a filter that was written.
    pub(super) fn read(&mut self, input: &mut impl Read) -> io::Result<()> {
        let (mut seed, mut segment_length, mut segments) = ([0; 8], [0; 4], [0; 4]);
        input.read_exact(&mut seed)?;
        input.read_exact(&mut segment_length)?;
        input.read_exact(&mut segments)?;
        let segment_length = u32::from_be_bytes(segment_length);
        let shape = Shape { seed: u64::from_be_bytes(seed), segment_length, segments: u32::from_be_bytes(segments) };
        input.read_exact(self.room(shape.bytes())?)?;
        self.add(shape);
        Ok(())
    }

    /// Room for the next fingerprints.
    fn room(&mut self, bytes: usize) -> io::Result<&mut [u8]> {
        if self.memory.len() - self.used < bytes {
            let mut larger = memory((self.used + bytes) * 2)?;
            larger[..self.used].copy_from_slice(&self.memory[..self.used]);
            self.memory = larger;
        }
        Ok(&mut self.memory[self.used..self.used + bytes])
    }

    fn add(&mut self, shape: Shape) {
        self.shapes.push((shape, self.used));
        self.used += shape.bytes();
    }
}

fn memory(bytes: usize) -> io::Result<MmapMut> {
    let memory = MmapMut::map_anon(bytes)?;
    // A system without huge pages serves as well, only slower.
    let _ = memory.advise(Advice::HugePage);
    Ok(memory)
}

impl Shape {
    fn place_count(&self) -> usize {
        ((self.segments + 2) * self.segment_length) as usize
    }

    fn bytes(&self) -> usize {
        (self.place_count() * FINGERPRINT_BITS).div_ceil(8) + 1
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
}

impl Filter {
    /// The filter of `keys`, which are brought in order if two of them are the same.
    fn of(keys: &mut Vec<u64>) -> Self {
        let tried = (0..MAX_TRIES).find_map(|seed| {
            let filter = Self::attempt(keys, seed);
            // No order is found for a key that comes twice, whatever the seed.
            if filter.is_none() {
                keys.sort_unstable();
                keys.dedup();
            }
            filter
        });
        tried.expect("a larger filter is made at once")
    }

    /// The paper's sizes for three places a key, a segment more after every few tries.
    fn empty(keys: usize, seed: u64) -> Self {
        let count = keys.max(2) as f64;
        let segment_length = 1_u32 << ((count.ln() / 3.33_f64.ln() + 2.25).floor() as u32).min(18);
        let factor = (0.875 + 0.25 * 1_000_000_f64.ln() / count.ln()).max(1.125);
        let capacity = if keys < 2 { 0 } else { (count * factor).round() as u32 };
        // A little above where the segments become longer, with 37,300 keys, this is too few four times in five.
        let more = u32::try_from(seed / TRIES_PER_SIZE).unwrap_or(0);
        let segments = capacity.div_ceil(segment_length).saturating_sub(2).max(1) + more;
        let shape = Shape { seed, segment_length, segments };
        Self { shape, fingerprints: vec![0; shape.bytes()] }
    }

    /// Finds an order in which each key has a place that no later key needs, and fills the places backwards. None when
    /// this seed allows no such order.
    fn attempt(keys: &[u64], seed: u64) -> Option<Self> {
        let mut filter = Self::empty(keys.len(), seed);
        let places = filter.shape.place_count();
        // Of the keys that fall on each place: how many (times four) with the exclusive or of which of their three it
        // is, and the exclusive or of their hashes. At most a few keys fall on one place, some dozens by a bad seed.
        let mut counts = vec![0_u8; places];
        let mut sums = vec![0_u64; places];
        for key in keys {
            let hash = filter.shape.hash(*key);
            for (number, place) in (0..).zip(filter.shape.places(hash)) {
                counts[place] = counts[place].checked_add(4)? ^ number;
                sums[place] ^= hash;
            }
        }
        let mut alone: Vec<u32> =
            (0_u32..).zip(&counts).filter(|(_, count)| **count >> 2 == 1).map(|(at, _)| at).collect();
        let mut order = Vec::with_capacity(keys.len());
        while let Some(place) = alone.pop() {
            let place = place as usize;
            if counts[place] >> 2 != 1 {
                continue;
            }
            let (hash, own) = (sums[place], counts[place] & 3);
            order.push((hash, own));
            for (number, other) in (0..).zip(filter.shape.places(hash)) {
                counts[other] = (counts[other] - 4) ^ number;
                sums[other] ^= hash;
                if counts[other] >> 2 == 1 {
                    alone.push(u32::try_from(other).expect("places are counted in 32 bits"));
                }
            }
        }
        if order.len() < keys.len() {
            return None;
        }
        for (hash, own) in order.into_iter().rev() {
            let places = filter.shape.places(hash);
            let place = places[usize::from(own)];
            let others = places.into_iter().filter(|other| *other != place).map(|other| filter.get(other));
            let fingerprint = others.fold(fingerprint(hash), |sum, other| sum ^ other);
            filter.set(place, fingerprint);
        }
        Some(filter)
    }

    fn get(&self, place: usize) -> u16 {
        let (byte, shift) = bits_of(place);
        fingerprint_in(&self.fingerprints, byte, shift)
    }

    fn set(&mut self, place: usize, fingerprint: u16) {
        let (byte, shift) = bits_of(place);
        let two = u16::from_le_bytes([self.fingerprints[byte], self.fingerprints[byte + 1]]);
        let two = two & !(0xfff << shift) | fingerprint << shift;
        self.fingerprints[byte..byte + 2].copy_from_slice(&two.to_le_bytes());
    }
}

/// The byte in which a place begins, and at which of its bits.
fn bits_of(place: usize) -> (usize, u8) {
    (place * FINGERPRINT_BITS / 8, if place.is_multiple_of(2) { 0 } else { 4 })
}

fn fingerprint_in(fingerprints: &[u8], byte: usize, shift: u8) -> u16 {
    u16::from_le_bytes([fingerprints[byte], fingerprints[byte + 1]]) >> shift & 0xfff
}

fn fingerprint(hash: u64) -> u16 {
    ((hash ^ (hash >> 32)) & 0xfff) as u16
}

#[cfg(test)]
mod tests {
    use super::Filters;

    /// Random-looking, and all different: SplitMix64 is a permutation.
    fn key(number: u64) -> u64 {
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    #[test]
    fn every_member_is_known_and_hardly_a_stranger() {
        let counts = [0_u64, 1, 2, 3, 10, 100, 1_000, 10_000, 65_536, 262_144];
        // Too little room, so that it must grow.
        let mut filters = Filters::with_capacity(0).expect("memory");
        for count in counts {
            filters.push(&mut (0..count).map(key).collect()).expect("memory");
        }
        let mut bytes = Vec::new();
        filters.write(&mut bytes).expect("memory takes it");
        let (mut again, mut input) = (Filters::with_capacity(1_000_000).expect("memory"), bytes.as_slice());
        counts.iter().for_each(|_| again.read(&mut input).expect("what was written"));
        for filters in [filters, again] {
            assert_eq!(filters.len(), counts.len());
            for (filter, count) in counts.into_iter().enumerate() {
                let members: Vec<_> = (0..count).map(|number| (filter, key(number))).collect();
                assert!(members.iter().all(|(filter, key)| filters.contains(*filter, *key)), "of {count}");
                let mut places = Vec::new();
                filters.members(&members, |place| places.push(place));
                assert!(places.into_iter().eq(0..members.len()), "of {count}");
                let strange: Vec<_> = (0..1 << 20).map(|number| (filter, key(count + 1 + number))).collect();
                let mut strangers = 0;
                filters.members(&strange, |at| {
                    assert!(filters.contains(strange[at].0, strange[at].1));
                    strangers += 1;
                });
                // One in 4,096 is expected, 256 of a million; an empty filter has all fingerprints zero.
                assert!((150..400).contains(&strangers), "of {count}: {strangers} strangers");
            }
        }
    }

    #[test]
    fn a_key_costs_less_than_two_bytes() {
        let mut filters = Filters::with_capacity(65_536).expect("memory");
        filters.push(&mut (0..65_536).map(key).collect()).expect("memory");
        assert!(filters.used * 10 < 65_536 * 18, "{} bytes", filters.used);
    }

    /// Of every size that a filter can have, about, a seed is found soon: also just above those at which the paper's
    /// segments become longer, where its sizes are too tight.
    #[test]
    fn a_filter_of_any_size_is_made_in_a_few_tries() {
        let mut first = 0;
        let steps = [1_009_u64, 3_360, 11_190, 37_250, 124_000];
        let tight =
            steps.into_iter().flat_map(|step| (step - step / 300..step + step / 100).step_by((step / 1_000) as usize));
        let sizes = (0..300).chain((300..3_000).step_by(37)).chain((3_000..70_000).step_by(1_009));
        for size in sizes.chain(tight).chain([1 << 16, 1 << 17, 1 << 20]) {
            let keys: Vec<u64> = (first..first + size).map(key).collect();
            first += size;
            let tries = (0..super::MAX_TRIES).find(|seed| super::Filter::attempt(&keys, *seed).is_some());
            assert!(tries.is_some_and(|tries| tries < 16), "{size} keys took {tries:?}");
        }
    }

    #[test]
    fn a_key_may_come_twice() {
        let mut filters = Filters::with_capacity(1_000).expect("memory");
        filters.push(&mut (0..1_000).chain(0..10).map(key).collect()).expect("memory");
        assert!((0..1_000).all(|number| filters.contains(0, key(number))));
    }
}
