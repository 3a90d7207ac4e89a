//! The age format, for backups: anybody may write to a recipient, only its identity reads.
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 <share>          one for each recipient: the file key, wrapped
//! <wrapped file key>
//! --- <HMAC of the header>
//! nonce [16] | chunks of 64 KiB, each sealed with its number, the last one marked
//! ```
//!
//! Only X25519 recipients are written and opened: a passphrase that a person can remember is too weak
//! for what lies in a backup, and other kinds need programs of their own. What is written here the
//! `age` program opens, and the other way round. The primitives are the one crypto provider's.
//!
//! Source: the age specification, <https://age-encryption.org/v1>.

use std::io::{self, BufRead, Read, Write};

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::bech32;

/// Whom a backup is for: `age1...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

/// Who opens a backup: `AGE-SECRET-KEY-1...`.
pub struct Identity(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// Why a text is no key, or a file is not opened.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    /// The text is no recipient.
    #[error("`{0}` is no age recipient: one begins with age1")]
    Recipient(String),
    /// The text holds no identity.
    #[error("there is no age identity in it: one begins with AGE-SECRET-KEY-1")]
    Identity,
    /// The file is none of age's.
    #[error("it does not begin like a file of age")]
    NotAge,
    /// None of the identities opens it.
    #[error("it was written for other recipients than the identities given")]
    NotForUs,
    /// It was changed or cut short.
    #[error("it is damaged or cut short")]
    Damaged,
    /// The cryptography refused.
    #[error("the cryptographic library failed")]
    Library,
    /// It could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<aws_lc_rs::error::Unspecified> for AgeError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Library
    }
}

impl std::str::FromStr for Recipient {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let read = bech32::decode("age", text.trim());
        read.map(|bytes| Self(*bytes)).ok_or_else(|| AgeError::Recipient(text.trim().to_owned()))
    }
}

impl Identity {
    /// Reads the identities of a file as `age-keygen` writes it; lines that begin with `#` are
    /// comments.
    ///
    /// # Errors
    ///
    /// Returns [`AgeError::Identity`] if there is none.
    pub fn read(text: &str) -> Result<Vec<Self>, AgeError> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = lines.map(|line| bech32::decode("age-secret-key-", line).map(Self));
        let read: Option<Vec<Self>> = read.collect();
        read.filter(|all| !all.is_empty()).ok_or(AgeError::Identity)
    }
}

/// Encrypts what is written to it.
pub(super) struct Encryptor<W: Write> {
    out: W,
    key: LessSafeKey,
    chunk: u64,
    buffer: Zeroizing<Vec<u8>>,
}

impl<W: Write> Encryptor<W> {
    /// Writes the header for some recipients.
    pub(super) fn new(recipients: &[Recipient], mut out: W) -> Result<Self, AgeError> {
        let mut file_key = Zeroizing::new([0; FILE_KEY]);
        aws_lc_rs::rand::fill(&mut *file_key)?;
        let mut header = format!("{INTRO}\n");
        for recipient in recipients {
            let (share, wrapped) = wrap(recipient, &file_key)?;
            header += &format!("-> X25519 {}\n{}\n", encoded(&share), encoded(&wrapped));
        }
        header += "---";
        let mac = header_mac(&file_key, &header)?;
        out.write_all(format!("{header} {}\n", encoded(mac.as_ref())).as_bytes())?;
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce)?;
        out.write_all(&nonce)?;
        let key = payload_key(&file_key, &nonce)?;
        // Reserved at once: growing would leave copies behind.
        let buffer = Zeroizing::new(Vec::with_capacity(CHUNK + TAG));
        Ok(Self { out, key, chunk: 0, buffer })
    }

    /// Writes what is left, marked as the end, and returns where it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(Last::Yes)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal(&mut self, last: Last) -> io::Result<()> {
        let nonce = Nonce::assume_unique_for_key(chunk_nonce(self.chunk, last));
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut *self.buffer);
        sealed.map_err(|_| io::Error::other("the cryptographic library failed"))?;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.chunk += 1;
        Ok(())
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only once more comes is it known that a full chunk is not the last one.
        if self.buffer.len() == CHUNK && !bytes.is_empty() {
            self.seal(Last::No)?;
        }
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Decrypts what is read from it.
pub(super) struct Decryptor<R: BufRead> {
    from: R,
    key: LessSafeKey,
    chunk: u64,
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
}

impl<R: BufRead> Decryptor<R> {
    /// Reads the header.
    pub(super) fn new(identities: &[Identity], mut from: R) -> Result<Self, AgeError> {
        let (header, stanzas, mac) = read_header(&mut from)?;
        let file_key = stanzas.iter().find_map(|(share, wrapped)| {
            identities.iter().find_map(|identity| unwrap(identity, share, wrapped))
        });
        let file_key = file_key.ok_or(AgeError::NotForUs)?;
        let own = header_mac(&file_key, &header)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(own.as_ref(), &mac)
            .map_err(|_| AgeError::Damaged)?;
        let mut nonce = [0; 16];
        from.read_exact(&mut nonce).map_err(|_| AgeError::Damaged)?;
        let key = payload_key(&file_key, &nonce)?;
        let plain = Zeroizing::new(Vec::with_capacity(CHUNK + TAG));
        Ok(Self { from, key, chunk: 0, plain, at: 0, ended: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        self.plain.clear();
        self.at = 0;
        let limit = (CHUNK + TAG) as u64;
        (&mut self.from).take(limit).read_to_end(&mut self.plain)?;
        let last = if self.from.fill_buf()?.is_empty() { Last::Yes } else { Last::No };
        let nonce = Nonce::assume_unique_for_key(chunk_nonce(self.chunk, last));
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, AgeError::Damaged);
        let length = self
            .key
            .open_in_place(nonce, Aad::empty(), &mut self.plain)
            .map_err(|_| damaged())?
            .len();
        // Only the first chunk may be empty, where there is nothing at all.
        if length == 0 && self.chunk > 0 {
            return Err(damaged());
        }
        self.plain.truncate(length);
        self.chunk += 1;
        self.ended = last == Last::Yes;
        Ok(())
    }
}

impl<R: BufRead> Read for Decryptor<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let rest = self.plain.get(self.at..).unwrap_or_default();
        let taken = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..taken), rest.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.at += taken;
        Ok(taken)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    Yes,
}

/// What a header says: its text up to the MAC, the X25519 stanzas, the MAC.
type Header = (String, Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>);

fn read_header(from: &mut impl BufRead) -> Result<Header, AgeError> {
    let mut header = line(from)?;
    if header != INTRO {
        return Err(AgeError::NotAge);
    }
    header.push('\n');
    let mut stanzas = Vec::new();
    let mut next = line(from)?;
    loop {
        if let Some(mac) = next.strip_prefix("--- ") {
            header += "---";
            return Ok((header, stanzas, decoded(mac)?));
        }
        let arguments = next.strip_prefix("-> ").ok_or(AgeError::Damaged)?.to_owned();
        header = format!("{header}{next}\n");
        let mut body = String::new();
        // A body ends with the first line that is not full.
        loop {
            let part = line(from)?;
            header = format!("{header}{part}\n");
            body += &part;
            if part.len() < 64 || header.len() > HEADER {
                break;
            }
        }
        if header.len() > HEADER {
            return Err(AgeError::Damaged);
        }
        if let Some(share) = arguments.strip_prefix("X25519 ") {
            stanzas.push((decoded(share)?, decoded(&body)?));
        }
        next = line(from)?;
    }
}

fn line(from: &mut impl BufRead) -> Result<String, AgeError> {
    let mut line = Vec::new();
    from.take(LINE).read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").ok_or(AgeError::NotAge)?;
    String::from_utf8(line.to_vec()).map_err(|_| AgeError::NotAge)
}

/// Wraps the file key for a recipient; returns the ephemeral share and the wrapped key.
fn wrap(
    Recipient(recipient): &Recipient,
    file_key: &[u8; FILE_KEY],
) -> Result<([u8; 32], Vec<u8>), AgeError> {
    let mut secret = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *secret)?;
    let share = public(&secret)?;
    let key = wrapping_key(&secret, recipient, &share, recipient)?;
    let mut wrapped = file_key.to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key([0; 12]),
        Aad::empty(),
        &mut wrapped,
    )?;
    Ok((share, wrapped))
}

fn unwrap(
    Identity(secret): &Identity,
    share: &[u8],
    wrapped: &[u8],
) -> Option<Zeroizing<[u8; FILE_KEY]>> {
    let share: &[u8; 32] = share.try_into().ok()?;
    if wrapped.len() != FILE_KEY + TAG {
        return None;
    }
    let own = public(secret).ok()?;
    let key = wrapping_key(secret, share, share, &own).ok()?;
    let mut wrapped = Zeroizing::new(wrapped.to_vec());
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let plain = key.open_in_place(nonce, Aad::empty(), &mut wrapped).ok()?;
    let plain: [u8; FILE_KEY] = (&*plain).try_into().ok()?;
    Some(Zeroizing::new(plain))
}

fn public(secret: &[u8; 32]) -> Result<[u8; 32], AgeError> {
    let key = PrivateKey::from_private_key(&X25519, secret).map_err(|_| AgeError::Library)?;
    let public = key.compute_public_key()?;
    public.as_ref().try_into().map_err(|_| AgeError::Library)
}

/// Returns the key under which the file key is wrapped. A share that gives the zero secret is refused
/// by the agreement itself.
fn wrapping_key(
    secret: &[u8; 32],
    other: &[u8; 32],
    share: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<LessSafeKey, AgeError> {
    let own = PrivateKey::from_private_key(&X25519, secret).map_err(|_| AgeError::Library)?;
    let other = UnparsedPublicKey::new(&X25519, other);
    let salt = [&share[..], recipient].concat();
    agree(&own, other, AgeError::Library, |shared| {
        derived(&salt, shared, b"age-encryption.org/v1/X25519")
    })
}

fn payload_key(file_key: &[u8; FILE_KEY], nonce: &[u8; 16]) -> Result<LessSafeKey, AgeError> {
    derived(nonce, file_key, b"payload")
}

fn derived(salt: &[u8], secret: &[u8], info: &[u8]) -> Result<LessSafeKey, AgeError> {
    let mut key = Zeroizing::new([0; 32]);
    expand(salt, secret, info, &mut key)?;
    Ok(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*key)?))
}

fn expand(salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8; 32]) -> Result<(), AgeError> {
    let prk = Salt::new(HKDF_SHA256, salt).extract(secret);
    prk.expand(&[info], Bytes32)?.fill(out)?;
    Ok(())
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

fn header_mac(file_key: &[u8; FILE_KEY], header: &str) -> Result<hmac::Tag, AgeError> {
    let mut key = Zeroizing::new([0; 32]);
    expand(b"", file_key, b"header", &mut key)?;
    Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), header.as_bytes()))
}

/// Eleven bytes of number, one that marks the end.
fn chunk_nonce(chunk: u64, last: Last) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce.iter_mut().skip(3).zip(chunk.to_be_bytes()).for_each(|(to, from)| *to = from);
    nonce.iter_mut().last().into_iter().for_each(|to| *to = u8::from(last == Last::Yes));
    nonce
}

fn encoded(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

fn decoded(text: &str) -> Result<Vec<u8>, AgeError> {
    STANDARD_NO_PAD.decode(text).map_err(|_| AgeError::Damaged)
}

const INTRO: &str = "age-encryption.org/v1";
const FILE_KEY: usize = 16;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;

/// How long a header's line, and a header, may be.
const LINE: u64 = 4096;
const HEADER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    const IDENTITY: &str =
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

    fn sealed(length: usize) -> (Vec<u8>, Vec<u8>) {
        let recipient: Recipient = RECIPIENT.parse().unwrap();
        let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let mut out = Encryptor::new(&[recipient], Vec::new()).unwrap();
        out.write_all(&plain).unwrap();
        (plain, out.finish().unwrap())
    }

    fn opened(file: &[u8]) -> Result<Vec<u8>, AgeError> {
        let identities = Identity::read(&format!("# made for a test\n{IDENTITY}\n")).unwrap();
        let mut plain = Vec::new();
        Decryptor::new(&identities, file)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_opens_at_every_border_of_a_chunk() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let (plain, file) = sealed(length);
            assert_eq!(opened(&file).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn what_was_cut_short_or_changed_does_not_open() {
        let (_, file) = sealed(2 * CHUNK + 5);
        for end in [0, 10, 100, 200, file.len() - CHUNK, file.len() - 5, file.len() - 1] {
            assert!(opened(&file[..end]).is_err(), "{end} bytes");
        }
        // At a border of chunks the last one lacks its mark.
        let payload = file.windows(4).position(|bytes| bytes == b"--- ").unwrap();
        let payload =
            payload + file[payload..].iter().position(|byte| *byte == b'\n').unwrap() + 17;
        assert!(opened(&file[..payload + CHUNK + TAG]).is_err());
        for at in [30, 80, 130, payload - 3, payload + 7, file.len() - 1] {
            let mut bad = file.clone();
            bad[at] ^= 1;
            assert!(opened(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn another_identity_does_not_open_it() {
        let (_, file) = sealed(5);
        let other = Identity(Zeroizing::new([7; 32]));
        let error = Decryptor::new(&[other], &file[..]).err().unwrap();
        assert!(matches!(error, AgeError::NotForUs), "{error}");
        let error = Decryptor::new(&[], &b"something else\n"[..]).err().unwrap();
        assert!(matches!(error, AgeError::NotAge), "{error}");
    }
}
