//! Finding out whether a key-value backend's compare-and-swap is one, before anything is trusted to it.
//!
//! Two handles see the same value, or both see none; then each swaps. Exactly the first may win. Spin's own (SQLite)
//! backend lets both win where both saw none (see `KEY-VALUE.md`), and money would move twice.

use crate::bucket::{Bucket, SwapReport};
use crate::ports::StoreError;

/// Tries `bucket` out on a key that nobody else uses, and clears it away.
///
/// # Errors
/// [`StoreError::Unsafe`] if two swaps win; [`StoreError::Unavailable`] if the backend does not answer, or if no swap wins,
/// which says nothing for good: a connection may have been lost. Neither is trusted; the second is probed again.
pub async fn probe<B: Bucket>(bucket: &B, key: &str) -> Result<(), StoreError> {
    let absent = race(bucket, key, None, b"first").await;
    let present = match absent {
        Ok(()) => race(bucket, key, Some(b"first"), b"second").await,
        Err(error) => Err(error),
    };
    // What is left behind does no harm.
    let _ = bucket.delete(key).await;
    present
}

/// Both handles see `before`; the first swaps `won` in, and the second comes too late.
async fn race<B: Bucket>(bucket: &B, key: &str, before: Option<&[u8]>, won: &[u8]) -> Result<(), StoreError> {
    let (first, seen_first) = bucket.watch(key).await?;
    let (second, seen_second) = bucket.watch(key).await?;
    if seen_first.as_deref() != before || seen_second.as_deref() != before {
        return unclear("it did not read its own writes");
    }
    let first = bucket.swap(first, won.to_vec()).await;
    let second = bucket.swap(second, b"too late".to_vec()).await;
    for report in [&first, &second] {
        if let SwapReport::Broken(why) = report {
            return Err(StoreError::Unavailable(why.clone()));
        }
    }
    let now = bucket.get(key).await?;
    if second == SwapReport::Done {
        return refuse(match before {
            None => {
                "of two writers that both saw no value, both won; this is Spin's default key-value backend or one like it. Use the sqlite store, or a backend whose compare-and-swap is right"
            }
            Some(_) => "of two writers that both saw the same value, both won",
        });
    }
    if now.as_deref() != Some(won) {
        return unclear("the first of two writers did not win");
    }
    Ok(())
}

fn unclear(why: &str) -> Result<(), StoreError> {
    Err(StoreError::Unavailable(format!("the store's probe: {why}")))
}

fn refuse(why: &str) -> Result<(), StoreError> {
    Err(StoreError::Unsafe(why.to_owned()))
}
