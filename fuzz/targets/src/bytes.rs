//! One description of a structure, read from bytes and written to them: the corpus cannot disagree with the target.

use arbitrary::Unstructured;

/// Reads or writes numbers of a known range, one after the other.
pub trait Coder {
    /// A number from `min` to `max`: the reader takes it from its bytes, the writer writes `like` and gives it back.
    fn number(&mut self, like: u64, min: u64, max: u64) -> u64;

    /// One of `items`.
    fn pick<T: Copy + PartialEq>(&mut self, like: T, items: &[T]) -> T {
        let at = items.iter().position(|item| *item == like).unwrap_or(0) as u64;
        let last = items.len().saturating_sub(1) as u64;
        let at = usize::try_from(self.number(at, 0, last)).unwrap_or(0);
        items.get(at).copied().unwrap_or(like)
    }

    /// Yes or no.
    fn flag(&mut self, like: bool) -> bool {
        self.number(u64::from(like), 0, 1) == 1
    }
}

/// Takes what the fuzzer gives; zeros where it gives no more.
pub struct Reader<'a, 'b>(pub &'b mut Unstructured<'a>);

impl Coder for Reader<'_, '_> {
    fn number(&mut self, _: u64, min: u64, max: u64) -> u64 {
        self.0.int_in_range(min..=max).unwrap_or(min)
    }
}

/// Writes what [`Reader`] reads. Out of range is brought into range.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Coder for Writer {
    fn number(&mut self, like: u64, min: u64, max: u64) -> u64 {
        let value = like.clamp(min, max);
        // `Unstructured::int_in_range`: as many bytes as the range has, the most significant first.
        let width = max - min;
        let bytes = (0..8).filter(|n| width >> (8 * n) > 0).count();
        let offset = (value - min).to_be_bytes();
        self.0.extend(offset.iter().skip(8 - bytes));
        value
    }
}
