//! Bech32, in which age writes its keys: 32 bytes behind a readable prefix, with a checksum.
//!
//! Source: BIP 173; age's limit of length does not apply.

use zeroize::Zeroizing;

/// Reads 32 bytes behind a prefix, in lower or in upper case.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let is_mixed = text.chars().any(|c| c.is_ascii_lowercase())
        && text.chars().any(|c| c.is_ascii_uppercase());
    if is_mixed || text.len() > 128 {
        return None;
    }
    let text = Zeroizing::new(text.to_ascii_lowercase());
    let data = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let digit =
        |c: u8| ALPHABET.iter().position(|own| *own == c).and_then(|n| u8::try_from(n).ok());
    let digits: Zeroizing<Vec<u8>> =
        Zeroizing::new(data.bytes().map(digit).collect::<Option<_>>()?);
    if checksum(prefix, &digits) != 1 {
        return None;
    }
    let digits = digits.get(..digits.len().checked_sub(6)?)?;
    let mut bytes = Zeroizing::new([0; 32]);
    let (mut bits, mut count, mut at) = (0_u32, 0, 0);
    for digit in digits {
        bits = (bits << 5 | u32::from(*digit)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            *bytes.get_mut(at)? = u8::try_from(bits >> count & 0xff).ok()?;
            at += 1;
        }
    }
    (at == 32 && bits & ((1 << count) - 1) == 0).then_some(bytes)
}

/// Returns 1 where the last six digits are the checksum of the rest.
fn checksum(prefix: &str, digits: &[u8]) -> u32 {
    const GENERATORS: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let high = prefix.bytes().map(|c| c >> 5);
    let low = prefix.bytes().map(|c| c & 31);
    let all = high.chain([0]).chain(low).chain(digits.iter().copied());
    all.fold(1, |sum: u32, digit| {
        let top = sum >> 25;
        let next = (sum & 0x1ff_ffff) << 5 ^ u32::from(digit);
        let chosen = GENERATORS.iter().enumerate().filter(|(bit, _)| top >> bit & 1 == 1);
        chosen.fold(next, |sum, (_, generator)| sum ^ generator)
    })
}

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_age_is_read_and_one_with_a_typing_mistake_is_not() {
        // age's specification, "The X25519 recipient type".
        let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
        let identity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        assert!(decode("age", recipient).is_some());
        assert_eq!(*decode("age-secret-key-", identity).unwrap(), [0x42; 32]);
        for wrong in [
            "",
            "age1",
            "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwq",
            "Age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
            identity,
        ] {
            assert_eq!(decode("age", wrong), None, "{wrong}");
        }
    }
}
