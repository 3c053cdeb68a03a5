//! Records in Envoy's shared data: read, change, write if no other worker was quicker. Impure.

use crate::host;

/// Attempts at a write that other workers keep winning; more than one is rare, 16 never happens.
const TRIES: usize = 16;

/// What can be kept there; nothing kept, or bytes that say nothing, is the default.
pub trait Record: Default + Clone + PartialEq {
    /// As which it is kept.
    type Bytes: AsRef<[u8]>;
    /// Reads `to_bytes` back.
    fn from_bytes(bytes: &[u8]) -> Self;
    /// Writes it.
    fn to_bytes(&self) -> Self::Bytes;
}

/// The record of a key.
pub fn read<R: Record>(key: &str) -> R {
    host::shared(key).map_or_else(R::default, |(bytes, _)| R::from_bytes(&bytes))
}

/// Changes a record; `change` returns false to leave it as it is. True if it was changed, or needed no change.
pub fn update<R: Record>(key: &str, mut change: impl FnMut(&mut R) -> bool) -> bool {
    for _ in 0..TRIES {
        let (bytes, cas) = host::shared(key).unwrap_or_default();
        let old = R::from_bytes(&bytes);
        let mut new = old.clone();
        if !change(&mut new) {
            return false;
        }
        if new == old || host::set_shared(key, new.to_bytes().as_ref(), cas) {
            return true;
        }
    }
    false
}
