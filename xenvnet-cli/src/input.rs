//! Files that are read: JSON of ours, and configurations of others. `-` is stdin.

use crate::failure::{Failure, Result};
use std::io::Read;
use std::path::Path;

/// One value of JSON or a list of them.
pub(crate) fn json<T>(file: &Path, noun: &str, parse: fn(&str) -> xenvnet_core::Result<T>) -> Result<T> {
    let name = name(file);
    let text = String::from_utf8(octets(file)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::cannot(format_args!("read {name}"), format_args!("what is at byte {at} is no UTF-8"))
    })?;
    parse(&text).map_err(|error| {
        Failure::from(error)
            .doing(format_args!("read {name}"))
            .advice(format!("JSON is wanted, one {noun} or a list of them: {{...}} or [{{...}}, ...]"))
    })
}

/// A configuration. Comments in it may be of any encoding: what is no UTF-8 becomes as many question
/// marks, so that every byte keeps its place.
pub(crate) fn configuration(file: &Path) -> Result<String> {
    let octets = octets(file)?;
    let chunks = octets.utf8_chunks();
    Ok(chunks.map(|chunk| chunk.valid().to_owned() + &"?".repeat(chunk.invalid().len())).collect())
}

/// What a file is called in an error.
pub(crate) fn name(file: &Path) -> String {
    if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() }
}

fn octets(file: &Path) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().read_to_end(&mut octets).map(|_| octets),
        false => std::fs::read(file),
    };
    read.map_err(|error| Failure::system(format_args!("read {}", name(file)), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::Operation;

    fn within<T>(text: &[u8], read: impl FnOnce(&Path) -> T) -> T {
        let path = std::env::temp_dir().join(format!("xenvnet-read-{}-{}", std::process::id(), text.len()));
        std::fs::write(&path, text).unwrap();
        let value = read(&path);
        std::fs::remove_file(&path).unwrap();
        value
    }

    fn operations(text: &[u8]) -> Result<Vec<Operation>> {
        within(text, |path| json(path, "operation", Operation::from_json))
    }

    #[test]
    fn operations_are_read_in_their_order() {
        let all = operations(br#"[{"create_bridge":{"name":"br0"}},{"release_vif":{"vif":"vif1.0"}}]"#).unwrap();
        assert_eq!(all.iter().map(Operation::verb).collect::<Vec<_>>(), ["create_bridge", "release_vif"]);
        let one = operations(br#"{"release_vif":{"vif":"vif1.0"}}"#).unwrap();
        assert_eq!(one, all[1..]);
    }

    #[test]
    fn a_bad_value_is_named_with_its_file_and_line() {
        let failure = operations(b"[\n{\"delete_bridge\":{\"bridge\":\"a/b\"}}]").unwrap_err();
        let text = format!("{failure:?}");
        for words in ["cannot read ", "xenvnet-read-", "line 2", "not allowed in a name", "[{...}, ...]", "\"parse\""] {
            assert!(text.contains(words), "no {words}: {text}");
        }
        let text = format!("{:?}", operations(b"[\"\xff\"]").unwrap_err());
        assert!(text.contains("at byte 2 is no UTF-8"), "{text}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = configuration(Path::new("/nowhere/xend-config.sxp")).unwrap_err();
        assert!(format!("{failure:?}").contains("cannot read /nowhere/xend-config.sxp: No such file"), "{failure:?}");
    }

    #[test]
    fn bytes_of_another_encoding_keep_their_places() {
        let text = within(b"# f\xfcr g\xc3\xbcnther \xe2\x82\n(x)", |path| configuration(path).unwrap());
        assert_eq!(text, "# f?r g\u{fc}nther ??\n(x)");
    }
}
