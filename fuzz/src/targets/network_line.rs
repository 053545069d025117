//! The lines of `network-script`, and the other values that people type.

use crate::is_fit;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use xenvnet_core::{
    Antispoof, Dom0, Dom0Port, Error, Forward, IfName, MacAddr, MacPrefix, Masquerade, Network, NetworkId, Untracked,
    VifId, VifScript,
};

/// One run.
pub fn run(text: &str) {
    is_read_back::<Network>(text);
    is_read_back::<VifScript>(text);
    is_read_back::<Antispoof>(text);
    is_read_back::<Dom0>(text);
    is_read_back::<Dom0Port>(text);
    is_read_back::<Forward>(text);
    is_read_back::<IfName>(text);
    is_read_back::<MacAddr>(text);
    is_read_back::<MacPrefix>(text);
    is_read_back::<Masquerade>(text);
    is_read_back::<NetworkId>(text);
    is_read_back::<Untracked>(text);
    is_read_back::<VifId>(text);
}

/// What is printed is read back as the same.
fn is_read_back<T: FromStr<Err = Error> + Display + Debug + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            let again = printed.parse::<T>().unwrap_or_else(|error| panic!("{printed:?} of {value:?}: {error}"));
            assert_eq!(again, value, "{printed:?}");
        }
        Err(error) => is_fit(&error, text),
    }
}
