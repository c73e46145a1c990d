//! Deterministic draws from one word of entropy.

/// A SplitMix64 stream: the same entropy always gives the same draws.
///
/// It decides latencies, faults and the look of identifiers. It is not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    state: u64,
}

impl Draw {
    /// Starts a stream at `entropy`.
    pub(crate) fn new(entropy: u64) -> Self {
        Self { state: entropy }
    }

    /// The next word.
    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `min..=max` (`min` when the range is empty).
    pub(crate) fn between(&mut self, min: u64, max: u64) -> u64 {
        let word = self.word();
        match max.checked_sub(min).and_then(|width| width.checked_add(1)) {
            Some(width) => min + word % width,
            None => min,
        }
    }

    /// True `permille` times in a thousand. Always consumes one word, so that turning one dial leaves the
    /// draws of the others where they were.
    pub(crate) fn chance(&mut self, permille: u16) -> bool {
        self.word() % 1000 < u64::from(permille)
    }
}

/// The id of the request that came with `entropy`. It takes nothing from the request's own draws.
pub(crate) fn request_id(entropy: u64) -> String {
    format!("req_{:016x}", Draw::new(!entropy).word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_and_stay_in_range() {
        let (mut one, mut two) = (Draw::new(7), Draw::new(7));
        for _ in 0..1000 {
            let drawn = one.between(100, 800);
            assert_eq!(drawn, two.between(100, 800));
            assert!((100..=800).contains(&drawn));
        }
        assert_eq!(one.between(5, 5), 5);
        assert_eq!(one.between(9, 5), 9);
        assert!(!one.chance(0));
        assert!(one.chance(1000));
    }
}
