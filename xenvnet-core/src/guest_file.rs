//! A guest's configuration file: its name and its vifs.

use crate::error::Result;
use crate::line::Line;
use crate::reader::Reader;

/// What the configuration file of a guest, xl's or xm's, says about its network.
///
/// The file is read and never run. xl's files are assignments and nothing else; xm's were Python,
/// and of those the ones that are no more than assignments are read, too. All other assignments
/// are skipped.
///
/// ```
/// use xenvnet_core::{GuestFile, VifSpec};
/// let text = "name = 'web'\nmemory = 512\nvif = [ 'bridge=xenbr0', # the first\n        'brige=xenbr1' ]\n";
/// let file = GuestFile::parse(text)?;
/// assert_eq!(file.name.as_deref(), Some("web"));
/// assert!(file.vifs[0].parse::<VifSpec>().is_ok());
///
/// let error = file.vifs[1].parse::<VifSpec>().unwrap_err();
/// assert_eq!(error.to_string(), r#"vif: unknown key "brige" at byte 72, line 4; did you mean "bridge"?"#);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GuestFile {
    /// The guest's name.
    pub name: Option<String>,
    /// A line for each of its vifs, in order: their places are their device ids.
    pub vifs: Vec<Line>,
}

/// What stands to the right of an assignment.
enum Value {
    Text(Line),
    List {
        items: Vec<Value>,
        /// Where its bracket is.
        place: Line,
    },
}

/// As deep as lists may be within lists. xl's own go two deep.
const DEPTH_MAX: usize = 64;

impl GuestFile {
    /// Reads the text of a file. Where a name is assigned twice, the last one counts; `+=` adds to
    /// what there is.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`](crate::ErrorKind::Parse) with the offset, and the line in the text: for
    /// anything but assignments of texts, numbers and lists of them, and for a `name` or `vif` that
    /// is not a text, or a list of them.
    ///
    /// ```
    /// # use xenvnet_core::GuestFile;
    /// let error = GuestFile::parse("import os\nvif = ['']\n").unwrap_err();
    /// assert_eq!(error.to_string(), "guest's configuration: an assignment is wanted, NAME = VALUE at byte 0, line 1");
    /// assert_eq!(error.advice(), Some("the file is read, not run: write down what the code would have made of it"));
    /// ```
    pub fn parse(text: &str) -> Result<GuestFile> {
        let mut reader = Reader::new("guest's configuration", text);
        let mut file = GuestFile::default();
        loop {
            skip_blank(&mut reader, |c| c.is_ascii_whitespace() || c == ';');
            if reader.peek().is_none() {
                return Ok(file);
            }
            let place = reader.start();
            let name = reader.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            reader.take_while(is_space);
            let adds = reader.eat('+');
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !reader.eat('=') {
                return Err(reader.wrong_at(&place, "an assignment is wanted, NAME = VALUE").with_advice(NOT_RUN));
            }
            reader.take_while(is_space);
            let value = read(&mut reader, 0)?;
            reader.take_while(is_space);
            if !matches!(reader.peek(), None | Some('\n' | '\r' | ';' | '#')) {
                return Err(reader.wrong("the end of the line is wanted").with_advice(NOT_RUN));
            }
            match name {
                "name" => file.set_name(value, adds, &reader)?,
                "vif" => file.set_vifs(value, adds, &reader)?,
                _ => {}
            }
        }
    }

    fn set_name(&mut self, value: Value, adds: bool, reader: &Reader) -> Result<()> {
        match value {
            Value::Text(line) => {
                let before = self.name.take().filter(|_| adds).unwrap_or_default();
                self.name = Some(before + &line.text);
                Ok(())
            }
            Value::List { place, .. } => Err(reader.wrong_at(&place, "name is a list")),
        }
    }

    fn set_vifs(&mut self, value: Value, adds: bool, reader: &Reader) -> Result<()> {
        let items = match value {
            Value::List { items, .. } => items,
            Value::Text(line) => {
                return Err(reader.wrong_at(&line, "vif is no list").with_advice("write vif = [ 'bridge=xenbr0' ]"));
            }
        };
        if !adds {
            self.vifs.clear();
        }
        for item in items {
            match item {
                Value::Text(line) => self.vifs.push(line),
                Value::List { place, .. } => return Err(reader.wrong_at(&place, "a vif is a list")),
            }
        }
        Ok(())
    }
}

const NOT_RUN: &str = "the file is read, not run: write down what the code would have made of it";

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn skip_blank(reader: &mut Reader, blank: impl Fn(char) -> bool) {
    loop {
        reader.take_while(&blank);
        if reader.peek() != Some('#') {
            return;
        }
        reader.take_while(|c| c != '\n');
    }
}

fn read(reader: &mut Reader, depth: usize) -> Result<Value> {
    let place = reader.start();
    match reader.peek() {
        Some('[') if depth == DEPTH_MAX => Err(reader.wrong(format!("lists within lists, more than {DEPTH_MAX} deep"))),
        Some('[') => {
            reader.next();
            let mut items = Vec::new();
            loop {
                skip_blank(reader, |c| c.is_ascii_whitespace());
                if reader.eat(']') {
                    return Ok(Value::List { items, place });
                }
                items.push(read(reader, depth + 1)?);
                skip_blank(reader, |c| c.is_ascii_whitespace());
                if !reader.eat(',') && reader.peek() != Some(']') {
                    return Err(match reader.peek() {
                        None => reader.wrong_at(&place, "the list is never closed"),
                        _ => reader.wrong("a comma or the end of the list is wanted").with_advice(NOT_RUN),
                    });
                }
            }
        }
        Some('"' | '\'') => reader.quoted(false).map(Value::Text),
        Some('0'..='9' | '-') => {
            let mut number = place;
            number.push_str(reader.take_while(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'));
            Ok(Value::Text(number))
        }
        None if depth > 0 => Err(reader.wrong("the list is never closed")),
        _ => Err(reader.wrong("a text in quotes, a number or a list is wanted").with_advice(NOT_RUN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vif::VifSpec;
    use proptest::prelude::*;

    fn vifs(text: &str) -> Vec<String> {
        let file = GuestFile::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        file.vifs.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn files_are_read_as_xl_reads_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("vif=[]", &[]),
            ("vif = [ '' ]", &[""]),
            ("vif = [ 'a', \"b\" ]", &["a", "b"]),
            ("vif = [\n  'a', # one\n\n  # two\n  'b',\n]\n", &["a", "b"]),
            ("vif=['a'];name='x';vif=['b']", &["b"]),
            ("vif=['a']\nvif += ['b']\n", &["a", "b"]),
            ("vif+=['a']", &["a"]),
            ("# vif=['a']\nvif=['b'] # c", &["b"]),
            ("vif=['a#b', 'c;d']", &["a#b", "c;d"]),
            (r#"vif=['it\'s', "\"x\"\t"]"#, &["it's", "\"x\"\t"]),
            ("vif = [ 'a' ]\r\nmemory = 512\r\n", &["a"]),
            ("cpus=[[1,2],['a',[]]]\nvif=['b']\nmaxmem=0x200\nx=-1", &["b"]),
            ("vif = [ 'a'\n , 'b' ]", &["a", "b"]),
        ] {
            assert_eq!(vifs(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_read() {
        let name = |text| GuestFile::parse(text).unwrap().name;
        assert_eq!(name("name = \"web\"").as_deref(), Some("web"));
        assert_eq!(name("name='a'\nname='b'").as_deref(), Some("b"));
        assert_eq!(name("name='a'\nname+='b'").as_deref(), Some("ab"));
        assert_eq!(name("name = 5").as_deref(), Some("5"));
        assert_eq!(name("memory = 5"), None);
    }

    #[test]
    fn faults_are_named_with_byte_and_line() {
        for (text, expected) in [
            ("\nvif", "an assignment is wanted, NAME = VALUE at byte 1, line 2"),
            ("def f(x):\n", "an assignment is wanted, NAME = VALUE at byte 0, line 1"),
            ("= 5", "an assignment is wanted, NAME = VALUE at byte 0, line 1"),
            ("a = b", "a text in quotes, a number or a list is wanted at byte 4, line 1"),
            ("a =", "a text in quotes, a number or a list is wanted at byte 3, line 1"),
            ("a = 'b' + 'c'", "the end of the line is wanted at byte 8, line 1"),
            ("a = 'b\n'", "the quote is not closed on its line at byte 4, line 1"),
            ("a = 'b", "the quote is never closed at byte 4, line 1"),
            ("vif = [ 'a'\n'b' ]", "a comma or the end of the list is wanted at byte 12, line 2"),
            ("vif = [ 'a',", "the list is never closed at byte 12, line 1"),
            ("vif = [ 'a'", "the list is never closed at byte 6, line 1"),
            ("vif = 'a'", "vif is no list at byte 7, line 1"),
            ("vif = [['a']]", "a vif is a list at byte 7, line 1"),
            ("name = ['a']", "name is a list at byte 7, line 1"),
        ] {
            let error = GuestFile::parse(text).unwrap_err();
            assert_eq!(error.to_string(), format!("guest's configuration: {expected}"), "{text}");
        }
    }

    #[test]
    fn a_vifs_fault_is_told_with_the_files_byte() {
        let text = "name = 'x'\nvif = [ '',\n  \"ip=\\\"10.0.0.1\\\",brige=b\" ]\n";
        let error = GuestFile::parse(text).unwrap().vifs[1].parse::<VifSpec>().unwrap_err();
        let offset = error.offset().unwrap();
        assert_eq!(&text[offset..][..5], "brige");
        assert!(error.to_string().contains(&format!("at byte {offset}, line 3")), "{error}");
    }

    #[test]
    fn depth_has_an_end() {
        assert!(GuestFile::parse(&format!("a={}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert!(GuestFile::parse(&format!("a={}", "[".repeat(1_000_000))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "((vif|name) *\\+?= *|[\\[\\]'\",;#\\\\ \n]|[a-z0-9=]{1,6}|\\PC){0,40}") {
            let Ok(file) = GuestFile::parse(&text) else { return Ok(()) };
            for line in &file.vifs {
                if let Err(error) = line.parse::<VifSpec>() {
                    prop_assert!(text.is_char_boundary(error.offset().unwrap()));
                }
            }
        }

        #[test]
        fn what_is_written_is_read(vifs in prop::collection::vec("[^\\\\'\n]{0,20}", 0..5)) {
            let list: Vec<_> = vifs.iter().map(|vif| format!("'{vif}'")).collect();
            let text = format!("vif = [ {} ]", list.join(",\n "));
            let file = GuestFile::parse(&text).unwrap();
            prop_assert_eq!(file.vifs.len(), vifs.len());
            for (line, vif) in file.vifs.iter().zip(&vifs) {
                prop_assert_eq!(&line.text, vif);
                prop_assert_eq!(&text[line.offset..][..vif.len()], vif);
            }
        }
    }
}
