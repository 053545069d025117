//! Strings of `vif = [ ... ]`, xl's and xm's, strict and lenient.

use crate::{is_fit, travels};
use xenvnet_core::{Rate, Strictness, VifScript, VifSpec, VlanSpec};

/// One run.
pub fn run(text: &str) {
    for read in [VifSpec::from_xl, VifSpec::from_xm] {
        let strict = read(text, Strictness::Strict);
        match read(text, Strictness::Lenient) {
            Ok((spec, warnings)) => {
                warnings.iter().for_each(|warning| is_fit(warning, text));
                // What leniency forgives is what strictness refuses, and nothing else.
                assert_eq!(warnings.is_empty(), strict.is_ok(), "{text:?}");
                travels(&spec);
            }
            Err(error) => {
                assert!(strict.is_err(), "strict takes {text:?}, lenient does not: {error}");
                is_fit(&error, text);
            }
        }
        match strict {
            Ok((spec, _)) => is_read_back(&spec),
            Err(error) => is_fit(&error, text),
        }
    }
    // Parts that are read by themselves too.
    let parts = [
        text.parse::<VlanSpec>().map(drop),
        text.parse::<VifScript>().map(drop),
        Rate::from_xl(text).map(drop),
        Rate::from_xm(text).map(drop),
    ];
    parts.into_iter().filter_map(Result::err).for_each(|error| is_fit(&error, text));
}

/// What is printed as xl's is read by xl as the same; keys that only xm has are nobody else's.
fn is_read_back(spec: &VifSpec) {
    if !["policy", "label"].iter().any(|key| spec.others.contains_key(*key)) {
        let printed = spec.to_string();
        let again = printed.parse::<VifSpec>().unwrap_or_else(|error| panic!("{printed:?}: {error}"));
        assert_eq!(again, *spec, "{printed:?}");
    }
}
