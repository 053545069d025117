//! What the targets have in common.

pub mod asks;
pub mod stage;
pub mod tape;
pub mod targets;

use serde::{Serialize, de::DeserializeOwned};
use xenvnet_core::Error;

/// An error about a text is fit for people: it names a place that is in the text, and nothing in its
/// words can move a cursor.
pub fn is_fit(error: &Error, text: &str) {
    if let Some(offset) = error.offset() {
        assert!(text.is_char_boundary(offset), "byte {offset} is no place: {error}");
    }
    is_tame(error);
}

/// Nothing in the words of an error can move a cursor.
pub fn is_tame(error: &Error) {
    let words = [error.to_string(), error.advice().unwrap_or_default().to_owned()];
    assert!(!words.iter().any(|words| words.contains(char::is_control)), "{words:?}");
}

/// What is printed as JSON is read back as the same.
pub fn travels<T: Serialize + DeserializeOwned>(value: &T) {
    let json = serde_json::to_string(value).expect("every value can be written");
    let read: T = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(serde_json::to_string(&read).expect("every value can be written"), json);
}
