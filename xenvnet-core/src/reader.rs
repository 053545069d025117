//! Reading a configuration file letter by letter, with the place always at hand.

use crate::error::Result;
use crate::error::{Error, ErrorKind};
use crate::line::Line;

pub(crate) struct Reader<'a> {
    text: &'a str,
    noun: &'static str,
    at: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(noun: &'static str, text: &'a str) -> Reader<'a> {
        Reader { text, noun, at: 0, line: 1 }
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// Goes past this one if it is the next.
    pub(crate) fn eat(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        if there {
            self.next();
        }
        there
    }

    /// The letters from here on that are as wanted, gone past.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let from = self.at;
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
        &self.text[from..self.at]
    }

    /// An empty text that begins here.
    pub(crate) fn start(&self) -> Line {
        Line::at(self.at, self.line)
    }

    /// What is wrong here.
    pub(crate) fn wrong(&self, why: impl std::fmt::Display) -> Error {
        self.wrong_at(&self.start(), why)
    }

    /// What was wrong there.
    pub(crate) fn wrong_at(&self, place: &Line, why: impl std::fmt::Display) -> Error {
        Error::invalid(ErrorKind::Parse, format!("{}: {why}", self.noun)).in_file(place.offset, place.number)
    }

    /// What is between the quotes that begin here: single or double, with the escapes that Python,
    /// xend and xl have in common. Only xend lets one go on over the end of a line.
    pub(crate) fn quoted(&mut self, over_lines: bool) -> Result<Line> {
        let opening = self.start();
        let quote = self.next();
        let mut inside = self.start();
        loop {
            let here = self.start();
            match self.next() {
                c if c == quote => return Ok(inside),
                Some('\\') => {
                    let c = match self.next() {
                        Some(c @ ('\\' | '\'' | '"')) => c,
                        Some('a') => '\x07',
                        Some('b') => '\x08',
                        Some('f') => '\x0c',
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        Some('v') => '\x0b',
                        // xend and xl drop what they do not know, and most numbers with it.
                        Some(c) => {
                            let why = format!("\"\\{}\" is no escape that is read here", c.escape_debug());
                            return Err(self.wrong_at(&here, why).with_advice("write the character itself"));
                        }
                        None => return Err(self.wrong_at(&opening, "the quote is never closed")),
                    };
                    inside.push_escaped(c);
                }
                Some('\n') if !over_lines => {
                    return Err(self.wrong_at(&opening, "the quote is not closed on its line"));
                }
                Some(c) => inside.push(c),
                None => return Err(self.wrong_at(&opening, "the quote is never closed")),
            }
        }
    }
}
