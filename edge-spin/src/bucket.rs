//! What the key-value mode needs of a backend.

use crate::ports::StoreError;

/// A key-value store with compare-and-swap (`wasi:keyvalue`).
pub trait Bucket: 'static {
    /// A compare-and-swap that has seen the value.
    type Handle;
    /// The value.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>>;
    /// Sees the value. Without this a swap is unconditional on most backends.
    fn watch(&self, key: &str) -> impl Future<Output = Result<(Self::Handle, Option<Vec<u8>>), StoreError>>;
    /// Swaps, if the value is still the one that was seen.
    fn swap(&self, handle: Self::Handle, value: Vec<u8>) -> impl Future<Output = SwapReport>;
    /// Removes the value.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), StoreError>>;
}

/// What the backend says of a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapReport {
    /// It was applied.
    Done,
    /// It was not. This may be untrue.
    Failed,
    /// The backend did not say.
    Broken(String),
}
