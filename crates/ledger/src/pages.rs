//! Lists and maps in copy-on-write pages, of which a snapshot (cut) can be taken at any moment without copying the
//! whole. Pages are shared until one is changed; whoever first changes a page after a cut copies it. Each page
//! remembers in which epoch, between two cuts, it was last changed, so that a checkpoint writes only those that were.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

/// Number of items in a page of a list: some kilobytes, quickly copied, and few enough pages to be shared quickly.
const ITEMS_PER_PAGE: usize = 64;

/// A list that grows at its end, in pages.
#[derive(Debug, Clone)]
pub struct Pages<T> {
    full: Vec<Page<Arc<[T]>>>,
    /// Items that do not fill a page yet.
    tail: Vec<T>,
    epoch: u32,
}

/// A map in pages; see [`PageKey`].
#[derive(Debug, Clone)]
pub struct PagedMap<K, V> {
    pages: BTreeMap<u64, Page<Arc<BTreeMap<K, V>>>>,
    len: usize,
    epoch: u32,
}

/// A key that knows its page. Keys in order have their pages in order.
pub trait PageKey: Ord + Copy {
    /// The number of its page.
    fn page(&self) -> u64;
}

#[derive(Debug, Clone)]
struct Page<I> {
    items: I,
    changed: u32,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { full: Vec::new(), tail: Vec::new(), epoch: 0 }
    }
}

impl<T: PartialEq> PartialEq for Pages<T> {
    /// Compares the items; the epochs of their changes don't matter.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Eq> Eq for Pages<T> {}

impl<T> Pages<T> {
    /// Returns the number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full.len().saturating_mul(ITEMS_PER_PAGE).saturating_add(self.tail.len())
    }

    /// Returns `true` if there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item of an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (page, place) = (index.div_euclid(ITEMS_PER_PAGE), index.rem_euclid(ITEMS_PER_PAGE));
        match self.full.get(page) {
            Some(page) => page.items.get(place),
            None if page == self.full.len() => self.tail.get(place),
            None => None,
        }
    }

    /// All items in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        (0..self.len()).map(|index| &self[index])
    }

    /// The pages in order, with their numbers and the epochs in which they were last changed. The last one may be empty.
    pub fn pages(&self) -> impl Iterator<Item = (u64, u32, &[T])> {
        let full = self.full.iter().map(|page| (page.changed, &*page.items));
        // The tail as it was at the last snapshot is not known, so it counts as changed.
        let pages = full.chain([(self.epoch, &*self.tail)]);
        (0..).zip(pages).map(|(number, (changed, items))| (number, changed, items))
    }
}

impl<T: Clone> Pages<T> {
    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        self.tail.push(item);
        if self.tail.len() == ITEMS_PER_PAGE {
            self.full.push(Page { items: self.tail.drain(..).collect(), changed: self.epoch });
        }
    }

    /// Returns the item of an index, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let (page, place) = (index.div_euclid(ITEMS_PER_PAGE), index.rem_euclid(ITEMS_PER_PAGE));
        if page == self.full.len() {
            return self.tail.get_mut(place);
        }
        let page = self.full.get_mut(page)?;
        page.changed = self.epoch;
        Arc::make_mut(&mut page.items).get_mut(place)
    }

    /// Takes a snapshot (cut) of the list as it is now. Begins a new epoch.
    pub fn cut(&mut self) -> Self {
        let cut = self.clone();
        self.epoch = self.epoch.saturating_add(1);
        cut
    }
}

impl<T> Index<usize> for Pages<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        self.get(index).expect("the list is long enough")
    }
}

impl<T: Clone> IndexMut<usize> for Pages<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.get_mut(index).expect("the list is long enough")
    }
}

impl<K, V> Default for PagedMap<K, V> {
    fn default() -> Self {
        Self { pages: BTreeMap::new(), len: 0, epoch: 0 }
    }
}

impl<K: PageKey, V: PartialEq> PartialEq for PagedMap<K, V> {
    /// Compares the entries; the epochs of their changes don't matter.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: PageKey, V: Eq> Eq for PagedMap<K, V> {}

impl<K: PageKey, V> PagedMap<K, V> {
    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns `true` if there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.pages.get(&key.page())?.items.get(key)
    }

    /// Returns `true` if the key has a value.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pages.values().flat_map(|page| page.items.iter())
    }

    /// The pages in order, with their numbers and the epochs in which they were last changed. A page that lost its last
    /// entry comes once more, empty.
    pub fn pages(&self) -> impl Iterator<Item = (u64, u32, &BTreeMap<K, V>)> {
        self.pages.iter().map(|(number, page)| (*number, page.changed, &*page.items))
    }
}

impl<K: PageKey, V: Clone> PagedMap<K, V> {
    /// Sets the value of a key.
    pub fn insert(&mut self, key: K, value: V) {
        let epoch = self.epoch;
        let fresh = || Page { items: Arc::default(), changed: epoch };
        let page = self.pages.entry(key.page()).or_insert_with(fresh);
        page.changed = epoch;
        if Arc::make_mut(&mut page.items).insert(key, value).is_none() {
            self.len = self.len.saturating_add(1);
        }
    }

    /// Returns the value of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let page = self.pages.get_mut(&key.page())?;
        page.changed = self.epoch;
        Arc::make_mut(&mut page.items).get_mut(key)
    }

    /// Takes out the value of a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let page = self.pages.get_mut(&key.page())?;
        page.changed = self.epoch;
        let removed = Arc::make_mut(&mut page.items).remove(key)?;
        self.len = self.len.saturating_sub(1);
        Some(removed)
    }

    /// Takes a snapshot (cut) of the map as it is now. Begins a new epoch.
    pub fn cut(&mut self) -> Self {
        let cut = self.clone();
        self.pages.retain(|_, page| !page.items.is_empty());
        self.epoch = self.epoch.saturating_add(1);
        cut
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{PageKey, PagedMap, Pages};

    impl PageKey for u16 {
        fn page(&self) -> u64 {
            u64::from(*self / 16)
        }
    }

    /// Equality depends on the contents alone, whatever their past.
    #[test]
    fn the_same_and_not_the_same() {
        let list = |items: std::ops::Range<u16>| {
            let mut pages = Pages::default();
            items.for_each(|item| pages.push(item));
            pages
        };
        let mut cut = list(0..100);
        drop(cut.cut());
        cut[3] = 3;
        assert_eq!(cut, list(0..100));
        assert_ne!(list(0..100), list(0..99));
        assert_ne!(list(0..100), list(1..101));
        assert!(list(0..0).is_empty() && !list(0..1).is_empty() && !list(0..64).is_empty());

        let map = |keys: std::ops::Range<u16>, value: u8| {
            let mut map = PagedMap::default();
            keys.for_each(|key| map.insert(key, value));
            map
        };
        let mut cut = map(0..100, 1);
        cut.remove(&5);
        drop(cut.cut());
        cut.insert(5, 1);
        assert_eq!(cut, map(0..100, 1));
        assert_ne!(map(0..100, 1), map(0..99, 1));
        assert_ne!(map(0..100, 1), map(0..100, 2));
        assert!(map(0..0, 1).is_empty() && !map(0..1, 1).is_empty());
    }

    /// The pages of a list, and when each was changed: the last one, which is not full, always counts as changed.
    #[test]
    fn the_pages_of_a_list() {
        let mut pages = Pages::default();
        (0..150_u16).for_each(|item| pages.push(item));
        let told =
            |pages: &Pages<u16>| pages.pages().map(|(n, changed, items)| (n, changed, items.len())).collect::<Vec<_>>();
        assert_eq!(told(&pages), [(0, 0, 64), (1, 0, 64), (2, 0, 22)]);
        let cut = pages.cut();
        pages[70] = 7;
        assert_eq!(told(&pages), [(0, 0, 64), (1, 1, 64), (2, 1, 22)]);
        assert_eq!((cut[70], pages[70]), (70, 7));
        (150..192).for_each(|item| pages.push(item));
        assert_eq!(told(&pages), [(0, 0, 64), (1, 1, 64), (2, 1, 64), (3, 1, 0)]);
    }

    proptest! {
        /// Against a vector: the same items, and a cut keeps what it saw.
        #[test]
        fn a_list_is_what_a_vector_is(steps in prop::collection::vec((0_usize..400, any::<u8>()), 1..600)) {
            let (mut pages, mut plain) = (Pages::default(), Vec::new());
            let mut cuts = Vec::new();
            for (place, value) in steps {
                match place {
                    0..200 => { pages.push(value); plain.push(value); }
                    200..390 if !plain.is_empty() => {
                        let at = usize::from(value) % plain.len();
                        pages[at] = value;
                        plain[at] = value;
                    }
                    _ => cuts.push((pages.cut(), plain.clone())),
                }
                prop_assert_eq!(pages.len(), plain.len());
            }
            prop_assert!(pages.iter().eq(plain.iter()));
            for beyond in [plain.len(), plain.len() + 63, plain.len() + 640] {
                prop_assert!(pages.get(beyond).is_none() && pages.get_mut(beyond).is_none());
            }
            prop_assert_eq!(pages.is_empty(), plain.is_empty());
            for (cut, plain) in cuts {
                prop_assert!(cut.iter().eq(plain.iter()));
            }
        }

        /// Against a tree: the same entries, a cut keeps what it saw, and the pages changed since a cut are enough to
        /// make the next one from it.
        #[test]
        fn a_map_is_what_a_tree_is(steps in prop::collection::vec((0_u8..100, 0_u16..200), 1..600)) {
            let (mut map, mut plain) = (PagedMap::default(), BTreeMap::new());
            let mut stored: BTreeMap<u64, BTreeMap<u16, u8>> = BTreeMap::new();
            let mut since = 0;
            for (what, key) in steps {
                match what {
                    0..50 => { map.insert(key, what); plain.insert(key, what); }
                    50..80 => prop_assert_eq!(map.remove(&key), plain.remove(&key)),
                    80..95 => {
                        prop_assert_eq!(map.get_mut(&key).map(|value| std::mem::replace(value, what)),
                            plain.get_mut(&key).map(|value| std::mem::replace(value, what)));
                    }
                    _ => {
                        let cut = map.cut();
                        for (number, changed, items) in cut.pages() {
                            if changed >= since && items.is_empty() {
                                stored.remove(&number);
                            } else if changed >= since {
                                stored.insert(number, items.clone());
                            }
                        }
                        since = cut.epoch + 1;
                        prop_assert!(cut.iter().eq(plain.iter()));
                        prop_assert!(stored.values().flatten().eq(plain.iter()));
                    }
                }
                prop_assert_eq!(map.len(), plain.len());
                prop_assert_eq!(map.get(&key), plain.get(&key));
            }
            prop_assert!(map.iter().eq(plain.iter()));
        }
    }
}
