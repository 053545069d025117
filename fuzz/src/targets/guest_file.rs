//! Configuration files of guests, and the vifs in them as xl and xm read them.

use crate::is_fit;
use xenvnet_core::{GuestFile, Strictness, VifSpec};

/// One run.
pub fn run(text: &str) {
    let file = match GuestFile::parse(text) {
        Ok(file) => file,
        Err(error) => return is_fit(&error, text),
    };
    for line in &file.vifs {
        assert!(text.is_char_boundary(line.offset) && line.number <= text.lines().count().max(1));
        for read in [VifSpec::from_xl, VifSpec::from_xm] {
            match read(&line.text, Strictness::Lenient) {
                Ok((_, warnings)) => warnings.into_iter().for_each(|warning| is_fit(&line.locate(warning), text)),
                Err(error) => is_fit(&line.locate(error), text),
            }
        }
    }
}
