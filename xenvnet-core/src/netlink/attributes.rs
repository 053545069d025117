//! Netlink attributes: type, length, value, aligned to four octets (linux/netlink.h).

/// The bits of an attribute's type that are not its number.
const FLAGS: u16 = 0xc000;
const NESTED: u16 = 0x8000;
const HEADER: usize = 4;

fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// Writes attributes, nested ones by closures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    /// After a fixed header.
    pub(crate) fn after(header: &[u8]) -> Writer {
        Writer { buffer: header.to_vec() }
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Writer {
        // Values are ours and short; a longer one than the field can say would be a fault here.
        let len = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        self.buffer.extend_from_slice(&len.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(value);
        self.buffer.resize(padded(self.buffer.len()), 0);
        self
    }

    /// Text with its closing NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Writer {
        self.bytes(kind, &[value.as_bytes(), b"\0"].concat())
    }

    pub(crate) fn u8(&mut self, kind: u16, value: u8) -> &mut Writer {
        self.bytes(kind, &[value])
    }

    /// Numbers of nf_tables are big-endian.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) -> &mut Writer {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn be64(&mut self, kind: u16, value: u64) -> &mut Writer {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn nested(&mut self, kind: u16, content: impl FnOnce(&mut Writer)) -> &mut Writer {
        let start = self.buffer.len();
        self.bytes(kind | NESTED, &[]);
        content(self);
        let len = u16::try_from(self.buffer.len() - start).unwrap_or(u16::MAX);
        self.buffer[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self
    }

    /// These attributes, then others.
    pub(crate) fn then(mut self, others: Writer) -> Writer {
        self.buffer.extend_from_slice(&others.buffer);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.buffer
    }
}

/// Reads attributes; what is cut off or lies about its length ends the reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The attributes of a message after its fixed header; none when it is too short.
    pub(crate) fn after(body: &'a [u8], header: usize) -> Reader<'a> {
        Reader { rest: body.get(header..).unwrap_or_default() }
    }

    /// The first attribute of this kind.
    pub(crate) fn find(mut self, kind: u16) -> Option<Value<'a>> {
        Iterator::find(&mut self, |(k, _)| *k == kind).map(|(_, value)| value)
    }

    /// The attributes inside of the first one of this kind; none when there is none.
    pub(crate) fn nested(self, kind: u16) -> Reader<'a> {
        self.find(kind).map(Value::nested).unwrap_or(Reader { rest: &[] })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = (u16, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let &[l0, l1, k0, k1, ..] = self.rest else { return None };
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.rest.get(HEADER..len)?;
        self.rest = self.rest.get(padded(len)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & !FLAGS, Value(value)))
    }
}

/// An attribute's value, to be read as what its number says it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a>(pub(crate) &'a [u8]);

impl<'a> Value<'a> {
    pub(crate) fn nested(self) -> Reader<'a> {
        Reader { rest: self.0 }
    }

    pub(crate) fn u8(self) -> Option<u8> {
        self.0.first().copied()
    }

    pub(crate) fn u16(self) -> Option<u16> {
        Some(u16::from_ne_bytes(self.0.try_into().ok()?))
    }

    pub(crate) fn u32(self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.0.try_into().ok()?))
    }

    pub(crate) fn be64(self) -> Option<u64> {
        Some(u64::from_be_bytes(self.0.try_into().ok()?))
    }

    /// Text up to its NUL, if it is UTF-8.
    pub(crate) fn text(self) -> Option<&'a str> {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..end]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::after(&[0; 4]);
        writer.text(1, "xenvnet").be32(2, 7).nested(3, |inner| {
            inner.u8(1, 9).bytes(2, &[1, 2, 3, 4, 5]);
        });
        let bytes = writer.finish();
        assert_eq!(bytes.len() % 4, 0);
        let reader = Reader::after(&bytes, 4);
        assert_eq!(reader.find(1).unwrap().text(), Some("xenvnet"));
        assert_eq!(reader.find(2).unwrap().0, [0, 0, 0, 7]);
        assert_eq!(reader.nested(3).find(1).unwrap().u8(), Some(9));
        assert_eq!(reader.nested(3).find(2).unwrap().0, [1, 2, 3, 4, 5]);
        assert!(reader.nested(4).find(1).is_none());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(bytes: Vec<u8>) {
            for (_, value) in Reader::after(&bytes, 0) {
                let _ = (value.u8(), value.u32(), value.be64(), value.text(), value.nested().count());
            }
        }
    }
}
