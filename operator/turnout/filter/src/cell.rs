//! State that lives as long as the VM: what Envoy's callbacks find again by number. One thread, so no locks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A quick hash for keys that no outsider chooses: numbers, names from the table (Fibonacci hashing).
#[derive(Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        let words = bytes.chunks_exact(8);
        let rest = words.remainder().iter().fold(0, |word, b| word << 8 | u64::from(*b));
        for word in words {
            self.write_u64(<[u8; 8]>::try_from(word).map_or(0, u64::from_le_bytes));
        }
        self.write_u64(rest);
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

/// A map with such keys.
pub type Numbered<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// A value that is borrowed only for the length of one closure; one that is in use already gives None, never a panic.
pub struct Cell<T>(RefCell<T>);

impl<T> Cell<T> {
    /// A cell with its first value.
    pub fn new(value: T) -> Self {
        Cell(RefCell::new(value))
    }
    /// Runs `f` with the value; None if it is in use.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0.try_borrow_mut().ok().map(|mut value| f(&mut value))
    }
}

thread_local! {
    static SEED: std::cell::Cell<u64> = std::cell::Cell::new(0);
}

/// A number below `n`, or 0; xorshift, seeded by the clock. Good enough to share traffic out, not to guard anything.
pub fn draw(n: u64) -> u64 {
    SEED.with(|seed| {
        let mut x = seed.get();
        if x == 0 {
            x = crate::host::now_ns() | 1;
        }
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        seed.set(x);
        (x >> 11).checked_rem(n).unwrap_or(0)
    })
}
