//! The s-expressions of xend: lists in parentheses, words, texts in quotes, comments after `#`.

use crate::error::Result;
use crate::line::Line;
use crate::reader::Reader;

/// A word or text, or a list.
#[derive(Debug)]
pub(crate) enum Sxp {
    Text(Line),
    List {
        items: Vec<Sxp>,
        /// Where its parenthesis is.
        place: Line,
    },
}

/// As deep as lists may be within lists: far more than anybody writes, far less than the stack holds.
const DEPTH_MAX: usize = 64;

/// What ends a word besides white space and a comment.
const SEPARATORS: &str = "{}()<>[]!;";

impl Sxp {
    /// Everything at the outermost level of a file.
    pub(crate) fn read_all(reader: &mut Reader) -> Result<Vec<Sxp>> {
        let mut items = Vec::new();
        while skip_blank(reader).is_some() {
            items.push(read(reader, 0)?);
        }
        Ok(items)
    }

    /// Where it begins.
    pub(crate) fn place(&self) -> &Line {
        match self {
            Sxp::Text(line) | Sxp::List { place: line, .. } => line,
        }
    }
}

/// The next letter that means something.
fn skip_blank(reader: &mut Reader) -> Option<char> {
    loop {
        reader.take_while(|c| c.is_ascii_whitespace() || c == '\x0b');
        match reader.peek() {
            Some('#') => reader.take_while(|c| c != '\n'),
            next => return next,
        };
    }
}

fn read(reader: &mut Reader, depth: usize) -> Result<Sxp> {
    let place = reader.start();
    match reader.peek() {
        Some('(') if depth == DEPTH_MAX => Err(reader.wrong(format!("lists within lists, more than {DEPTH_MAX} deep"))),
        Some('(') => {
            reader.next();
            let mut items = Vec::new();
            loop {
                match skip_blank(reader) {
                    None => return Err(reader.wrong_at(&place, "the parenthesis is never closed")),
                    Some(')') => break,
                    Some(_) => items.push(read(reader, depth + 1)?),
                }
            }
            reader.next();
            Ok(Sxp::List { items, place })
        }
        Some('"' | '\'') => reader.quoted(true).map(Sxp::Text),
        Some(')') => Err(reader.wrong("a parenthesis is closed that was never opened")),
        _ => {
            let mut word = place;
            // Whatever it begins with belongs to it.
            if let Some(c) = reader.next() {
                word.push(c);
            }
            let within = |c: char| !c.is_ascii_whitespace() && c != '\x0b' && c != '#' && !SEPARATORS.contains(c);
            word.push_str(reader.take_while(within));
            Ok(Sxp::Text(word))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(text: &str) -> String {
        fn show(item: &Sxp) -> String {
            match item {
                Sxp::Text(line) => format!("{}@{}", line.text, line.offset),
                Sxp::List { items, .. } => format!("({})", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            }
        }
        match Sxp::read_all(&mut Reader::new("sxp", text)) {
            Ok(items) => items.iter().map(show).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_grammar_is_xends() {
        for (text, expected) in [
            ("", ""),
            (" # only a comment", ""),
            ("(a b)(c)", "(a@1 b@3) (c@6)"),
            ("(a (b ()) c)", "(a@1 (b@4 ()) c@10)"),
            ("(a 'b c' \"d'e\")", "(a@1 b c@4 d'e@10)"),
            ("(a#comment)\nb)", "(a@1 b@12)"),
            ("(a '#no comment')", "(a@1 #no comment@4)"),
            (r"('it\'s' x)", "(it's@2 x@9)"),
            ("(a\n'b\nc')", "(a@1 b\nc@4)"),
            ("(a don't)", "(a@1 don't@3)"),
            ("(a-b.c_d/e:f)", "(a-b.c_d/e:f@1)"),
            ("(a;b)", "(a@1 ;b@2)"),
            ("(é 'ü')", "(é@1 ü@5)"),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_byte_and_line() {
        for (text, expected) in [
            ("(a\n(b)", "sxp: the parenthesis is never closed at byte 0, line 1"),
            ("(a)\n)", "sxp: a parenthesis is closed that was never opened at byte 4, line 2"),
            ("(a 'b", "sxp: the quote is never closed at byte 3, line 1"),
            ("(a 'b\\", "sxp: the quote is never closed at byte 3, line 1"),
            ("\n(a '\\x41')", r#"sxp: "\x" is no escape that is read here at byte 5, line 2"#),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn depth_has_an_end() {
        let nested = |depth: usize| format!("{}{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(shape(&nested(64)), nested(64));
        assert_eq!(shape(&nested(65)), "sxp: lists within lists, more than 64 deep at byte 64, line 1");
        assert!(shape(&"(".repeat(1_000_000)).starts_with("sxp: "));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[()'\"\\\\# \na-z\\PC]{0,80}") {
            shape(&text);
        }
    }
}
