//! A network line taken apart: the script, and its `KEY=VALUE` words with the byte of each.

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::text::{did_you_mean, quoted};
use ipnetwork::IpNetwork;

pub(super) fn wrong(offset: usize, why: String) -> Error {
    Error::invalid(ErrorKind::Parse, format!("network line: {why} at byte {offset}")).at(offset)
}

/// The words after the script's name.
pub(super) struct Fields<'a> {
    named: Vec<(usize, &'a str, &'a str)>,
    /// Words without a key.
    pub(super) bare: Vec<(usize, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Takes the words apart. Keys are those of `keys`, each once.
    pub(super) fn read(words: &[(usize, &'a str)], keys: &[&str]) -> Result<Fields<'a>> {
        let mut fields = Fields { named: Vec::new(), bare: Vec::new() };
        for (offset, word) in words.iter().copied() {
            let Some((key, value)) = word.split_once('=') else {
                fields.bare.push((offset, word));
                continue;
            };
            if !keys.contains(&key) {
                return Err(wrong(offset, format!("unknown key {}", quoted(key))).with_more(&did_you_mean(key, keys)));
            }
            if fields.value(key).is_some() {
                return Err(wrong(offset, format!("{key}= is given twice")));
            }
            let at = offset + key.len() + 1;
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            fields.named.push(match unquoted {
                Some(value) => (at + 1, key, value),
                None => (at, key, value),
            });
        }
        Ok(fields)
    }

    /// Refuses words without a key.
    pub(super) fn all_named(self) -> Result<Fields<'a>> {
        match self.bare.first() {
            Some((offset, word)) => Err(wrong(*offset, format!("{} is no KEY=VALUE", quoted(word)))),
            None => Ok(self),
        }
    }

    /// A value, and the byte that it begins at.
    pub(super) fn value(&self, key: &str) -> Option<(usize, &'a str)> {
        self.named.iter().find(|(_, k, _)| *k == key).map(|(at, _, value)| (*at, *value))
    }

    fn read_as<T>(&self, key: &str, noun: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some((at, value)) = self.value(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(at, format!("{key}={} is {noun}", quoted(value))))
    }

    pub(super) fn name(&self, key: &str) -> Result<Option<IfName>> {
        let Some((at, value)) = self.value(key) else { return Ok(None) };
        value.parse().map(Some).map_err(|error: Error| wrong(at, error.to_string()))
    }

    pub(super) fn net(&self, key: &str) -> Result<Option<IpNetwork>> {
        self.read_as(key, "no ADDRESS/PREFIX", |value| value.parse().ok())
    }

    /// Several, with commas between them.
    pub(super) fn nets(&self, key: &str) -> Result<Option<Vec<IpNetwork>>> {
        self.read_as(key, "no list of ADDRESS/PREFIX", |value| value.split(',').map(|net| net.parse().ok()).collect())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u32>> {
        self.read_as(key, "no number", |value| value.parse().ok())
    }

    pub(super) fn yes_or_no(&self, key: &str) -> Result<Option<bool>> {
        self.read_as(key, "neither yes nor no", |value| match value {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })
    }
}
