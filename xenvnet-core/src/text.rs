//! Text for people: what they typed, and what they may have meant.

use crate::error::{Error, ErrorKind, Result};
use ipnetwork::IpNetwork;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Reads an IP address, IPv4 or IPv6.
///
/// # Errors
/// [`ErrorKind::Parse`].
///
/// ```
/// assert!(xenvnet_core::parse_ip("10.98.98.2")?.is_ipv4());
/// assert_eq!(xenvnet_core::parse_ip("10.98.98").unwrap_err().to_string(), r#""10.98.98" is no IP address"#);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
pub fn parse_ip(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| Error::invalid(ErrorKind::Parse, format!("{} is no IP address", quoted(text))).at(0))
}

/// Reads an IP address with or without a prefix length; without, it is the one address.
///
/// # Errors
/// [`ErrorKind::Parse`].
///
/// ```
/// assert_eq!(xenvnet_core::parse_ip_network("10.98.98.2")?.prefix(), 32);
/// assert!(xenvnet_core::parse_ip_network("10.98.98.0/33").is_err());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
pub fn parse_ip_network(text: &str) -> Result<IpNetwork> {
    let wrong = || Error::invalid(ErrorKind::Parse, format!("{} is no IP address or prefix", quoted(text))).at(0);
    text.parse().map_err(|_| wrong())
}

/// Reads an IP address and a port: `10.98.98.2:80`, `[fd00::2]:80`.
///
/// # Errors
/// [`ErrorKind::Parse`].
///
/// ```
/// assert_eq!(xenvnet_core::parse_socket("10.98.98.2:80")?.port(), 80);
/// assert!(xenvnet_core::parse_socket("fd00::2:80").is_err());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
pub fn parse_socket(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| {
        Error::invalid(ErrorKind::Parse, format!("{} is no address and port", quoted(text)))
            .at(0)
            .with_advice("write ADDRESS:PORT, of IPv6 [ADDRESS]:PORT")
    })
}

/// Reads a value from JSON.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str, noun: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        // serde_json counts lines and columns, from 1.
        let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let offset = (before + error.column().saturating_sub(1)).min(text.len());
        // Where a text ends too soon it counts into the middle of the last letter.
        let offset = (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        Error::invalid(ErrorKind::Parse, format!("{noun}: {}", tame(&error.to_string()))).at(offset)
    })
}

/// What was made of somebody's words: nothing in it can move a cursor.
fn tame(text: &str) -> String {
    let letter = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(letter).collect()
}

/// Reads one value from JSON, or a list of them.
pub(crate) fn one_or_many<T: DeserializeOwned>(text: &str, noun: &str) -> Result<Vec<T>> {
    if text.trim_start().starts_with('[') { from_json(text, noun) } else { Ok(vec![from_json(text, noun)?]) }
}

/// What somebody gave us, in quotes, fit for a message: nothing in it can move a cursor, and it is
/// no longer than a line.
pub(crate) fn quoted(text: &str) -> String {
    const LINE: usize = 60;
    match text.char_indices().nth(LINE) {
        None => format!("\"{}\"", text.escape_debug()),
        Some((end, _)) => format!("\"{}\"...", text[..end].escape_debug()),
    }
}

/// The words of a line with the byte that each begins at. Double quotes hold one together.
pub(crate) fn words(line: &str) -> Vec<(usize, &str)> {
    let mut quoted = false;
    let mut words = Vec::new();
    let mut start = None;
    for (at, octet) in line.bytes().enumerate() {
        quoted ^= octet == b'"';
        match (octet.is_ascii_whitespace() && !quoted, start) {
            (true, Some(from)) => {
                words.push((from, &line[from..at]));
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| (from, &line[from..])));
    words
}

/// Where in a text a part of it begins.
pub(crate) fn offset_in(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// A number in decimal digits and nothing else, as long as it fits.
pub(crate) fn decimal<T: FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The known word that a mistyped one was most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // A third of the letters wrong is a typo; more is another word.
    let is_typo = |distance: usize, candidate: &str| distance * 3 <= candidate.len().max(3);
    // Whoever types a megabyte did not mean a key of six letters, and need not wait to hear so.
    let near = known.iter().filter(|candidate| is_typo(word.chars().count().abs_diff(candidate.len()), candidate));
    let (distance, best) = near.map(|candidate| (distance(word, candidate), *candidate)).min()?;
    is_typo(distance, best).then_some(best)
}

/// "; did you mean ...?", where one is near; one that differs only in case always is.
pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let same = known.iter().find(|known| known.eq_ignore_ascii_case(word)).copied();
    same.or_else(|| nearest(word, known)).map(|known| format!("; did you mean \"{known}\"?")).unwrap_or_default()
}

/// The number of letters to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_and_tame() {
        assert_eq!(quoted("a\x1b[2Jb"), "\"a\\u{1b}[2Jb\"");
        assert!(quoted(&"x".repeat(1_000_000)).len() < 70);
    }

    #[test]
    fn typos_are_recognised_and_other_words_are_not() {
        let known = ["bridge", "bridgeip", "brnet"];
        assert_eq!(nearest("brige", &known), Some("bridge"));
        assert_eq!(nearest("BRIDGE", &known), None);
        assert_eq!(nearest("bridgip", &known), Some("bridgeip"));
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest("vlan", &known), None);
    }

    #[test]
    fn errors_about_json_are_tame_and_name_a_place() {
        let error = from_json::<crate::Operation>("{\"\u{9b}31m\u{7f}\":1}", "operations").unwrap_err();
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
        let text = "[\"\u{e9}";
        let error = from_json::<crate::Operation>(text, "operations").unwrap_err();
        assert!(error.offset().is_some_and(|offset| text.is_char_boundary(offset)), "{error}");
    }
}
