//! Bytes as hexadecimal digits.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Two lower-case digits for each byte.
pub(crate) fn write(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            // A nibble is below 16.
            text.push(char::from(
                DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'),
            ));
        }
    }
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
