//! The tar format, as far as a backup needs it: files with paths and bytes, so that any `tar` can look
//! into one.
//!
//! Source: POSIX.1-2024, pax, "ustar Interchange Format" and "pax Header Block".

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

/// Writes an archive.
pub(super) struct Writer<W: Write> {
    out: W,
}

impl<W: Write> Writer<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out }
    }

    /// Adds a file.
    pub(super) fn add(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        if path.len() > NAME {
            // A long path goes into a header of its own, which says its length too.
            let mut record = format!(" path={path}\n");
            let digits = (record.len() + 3).to_string().len();
            record = format!("{}{record}", record.len() + digits);
            self.entry("pax", b'x', record.as_bytes())?;
        }
        let name: String = path.chars().take(NAME).collect();
        self.entry(&name, b'0', bytes)
    }

    /// Ends the archive and returns where it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let mut header = Vec::with_capacity(BLOCK);
        field(&mut header, name.as_bytes(), NAME);
        field(&mut header, b"0000600", 8);
        field(&mut header, b"0000000", 8);
        field(&mut header, b"0000000", 8);
        field(&mut header, format!("{:011o}", bytes.len()).as_bytes(), 12);
        field(&mut header, b"00000000000", 12);
        header.extend_from_slice(b"        ");
        header.push(kind);
        field(&mut header, b"", 100);
        header.extend_from_slice(b"ustar\x0000");
        header.resize(BLOCK, 0);
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        let sum = format!("{sum:06o}\0 ");
        header.iter_mut().skip(148).zip(sum.bytes()).for_each(|(to, from)| *to = from);
        self.out.write_all(&header)?;
        self.out.write_all(bytes)?;
        self.out.write_all(ZEROES.get(..padding(bytes.len())).unwrap_or_default())
    }
}

/// Reads an archive that [`Writer`] wrote, or one with the same kinds of entries.
pub(super) struct Reader<R: Read> {
    from: R,
}

impl<R: Read> Reader<R> {
    pub(super) const fn new(from: R) -> Self {
        Self { from }
    }

    /// Returns the next file: its path, its bytes; nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(String, Zeroizing<Vec<u8>>)>> {
        let mut long = None;
        loop {
            let Some((name, kind, length)) = self.header()? else { return Ok(None) };
            let bytes = self.bytes(length)?;
            match kind {
                b'x' => long = path_of(&bytes),
                b'0' | 0 => return Ok(Some((long.unwrap_or(name), bytes))),
                b'5' => {}
                _ => return Err(broken("an entry of a kind that no backup has")),
            }
        }
    }

    fn header(&mut self) -> io::Result<Option<(String, u8, u64)>> {
        let mut header = [0; BLOCK];
        self.from.read_exact(&mut header)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let part = |from: usize, length: usize| header.get(from..from + length).unwrap_or_default();
        let own: u32 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        if octal(part(148, 8)) != Some(u64::from(own)) {
            return Err(broken("a header's checksum is wrong"));
        }
        let name = text(part(0, NAME)).ok_or_else(|| broken("a name is no UTF-8"))?;
        let prefix = text(part(345, 155)).unwrap_or_default();
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let length = octal(part(124, 12)).filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| broken("an entry is too long"))?;
        Ok(Some((name, part(156, 1).first().copied().unwrap_or_default(), length)))
    }

    fn bytes(&mut self, length: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(Vec::new());
        (&mut self.from).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(broken("it ends early"));
        }
        let mut rest = [0; BLOCK];
        let rest = rest.get_mut(..padding(bytes.len())).unwrap_or_default();
        self.from.read_exact(rest)?;
        Ok(bytes)
    }
}

fn field(header: &mut Vec<u8>, bytes: &[u8], length: usize) {
    let end = header.len() + length;
    header.extend_from_slice(bytes.get(..length.min(bytes.len())).unwrap_or_default());
    header.resize(end, 0);
}

fn text(field: &[u8]) -> Option<String> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8(field.get(..end)?.to_vec()).ok()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = text(field)?;
    u64::from_str_radix(text.trim(), 8).ok()
}

/// Reads the path out of a pax header: records of `length key=value\n`.
fn path_of(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().find_map(|line| Some(line.split_once(" path=")?.1.to_owned()))
}

const fn padding(length: usize) -> usize {
    (BLOCK - length % BLOCK) % BLOCK
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

const BLOCK: usize = 512;
const NAME: usize = 100;
const ZEROES: [u8; BLOCK] = [0; BLOCK];

/// The longest entry: a part of a journal with a very long last line.
const LONGEST: u64 = 256 << 20;
