//! Bytes as hexadecimal digits.

/// Two lower-case digits for each byte.
pub(crate) fn write(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    // A nibble is a digit.
    let digits = nibbles.map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(digits);
    text
}

/// So many bytes from twice as many digits, in either case. `None`: it is anything else.
pub(crate) fn read<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: &u8| u8::try_from(char::from(*digit).to_digit(16)?).ok();
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_written_in_either_case() {
        assert_eq!(write(&[0, 0xab, 0xff]), "00abff");
        assert_eq!(read("00aBfF"), Some([0, 0xab, 0xff]));
        assert_eq!(read(""), Some([]));
    }

    #[test]
    fn anything_else_is_none() {
        for bad in ["00abf", "00abff0", "+0abff", "0\u{e9}abf", "00abfg", " 0abff"] {
            assert_eq!(read::<3>(bad), None, "{bad}");
        }
    }
}
