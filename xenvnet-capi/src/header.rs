//! The header against what it must say: every verb, every kind of error and of finding, the version.

use crate::code::TABLE;
use crate::{boundary, finding};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem;
use xenvnet_core::{DropReason, ErrorKind, Finding, Network, Operation, Severity, Table};

const HEADER: &str = include_str!("../../include/xenvnet.h");

/// The macros of the header whose names begin so, by the rest of the name.
fn macros(prefix: &str) -> BTreeMap<&'static str, &'static str> {
    let line = |line: &'static str| line.strip_prefix("#define ")?.strip_prefix(prefix)?.split_once(' ');
    HEADER.lines().filter_map(line).collect()
}

/// The declaration of a function, on one line.
fn declaration(function: &str) -> Option<String> {
    let start = HEADER.find(&format!("int {function}("))?;
    let end = start + HEADER[start..].find(';')?;
    Some(HEADER[start..end].split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn every_verb_is_a_function_and_a_macro() {
    let have = macros("XENVNET_HAVE_");
    for verb in Operation::VERBS {
        let declaration = declaration(&format!("xenvnet_{verb}")).unwrap_or_else(|| panic!("no xenvnet_{verb}()"));
        assert!(declaration.contains("(const xenvnet *host, "), "{declaration}");
        assert!(declaration.ends_with(", bool *changed, xenvnet_error **error)"), "{declaration}");
        assert_eq!(have.get(verb.to_uppercase().as_str()), Some(&"1"), "XENVNET_HAVE_ of {verb}");
    }
}

#[test]
fn every_kind_of_error_is_a_macro_of_its_code() {
    let errors = macros("XENVNET_ERROR_");
    for kind in ErrorKind::ALL {
        let value = errors.get(kind.name().to_uppercase().as_str());
        assert_eq!(value, Some(&kind.code().to_string().as_str()), "XENVNET_ERROR_ of {kind}");
    }
    // And those of the border, none of which may ever be a kind of the core's.
    let border = errors.len() - ErrorKind::ALL.len();
    assert_eq!(errors.values().filter(|value| value.parse::<i32>().is_ok_and(|code| code >= 100)).count(), border);
}

#[test]
fn the_table_is_the_headers() {
    let mut seen = BTreeSet::new();
    for (code, name) in TABLE {
        let name = name.to_str().unwrap();
        assert!(seen.insert(code), "{code} is used again");
        match ErrorKind::from_code(code) {
            Some(kind) => assert_eq!(kind.name(), name),
            None => assert!(code == 0 || code >= 100, "{code} is no kind of the core's"),
        }
        let found = if code == 0 { macros("XENVNET_OK") } else { macros("XENVNET_ERROR_") };
        let rest = if code == 0 { String::new() } else { name.to_uppercase() };
        assert_eq!(found.get(rest.as_str()), Some(&code.to_string().as_str()), "{name}");
    }
    assert_eq!(TABLE.len(), macros("XENVNET_ERROR_").len() + 1);
}

/// The words of an enum, which the core has no list of: as its refusal of another word tells them.
fn words<T: serde::de::DeserializeOwned>(refused: &str) -> Vec<String> {
    let Err(error) = serde_json::from_str::<T>(refused) else { panic!("{refused} was read") };
    let error = error.to_string();
    let (_, known) = error.split_once("expected one of ").unwrap_or_else(|| panic!("{error}"));
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a comment of the header has this word, not merely a part of another.
fn explains(comment: &str, word: &str) -> bool {
    comment.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

/// The comment and the declaration of a function.
fn comment(function: &str) -> &'static str {
    let end = HEADER.find(&format!("{function}(const ")).unwrap_or_else(|| panic!("no {function}()"));
    &HEADER[HEADER[..end].rfind("\n\n").unwrap()..end]
}

#[test]
fn every_kind_of_finding_is_named() {
    let kinds = words::<Finding>(r#"{"finding":"?"}"#);
    assert!(kinds.len() >= 24 && kinds.iter().any(|kind| kind == Finding::CutOff.kind()));
    for kind in kinds {
        assert!(explains(comment("xenvnet_finding_kind"), &kind), "{kind}");
    }
}

#[test]
fn every_reason_for_a_drop_and_every_table_is_named() {
    let comment = comment("xenvnet_snapshot_json");
    for reason in DropReason::ALL {
        assert!(explains(comment, reason.name()), "{reason}");
    }
    for table in words::<Table>("\"?\"") {
        // The names that older versions wrote are still read.
        assert!(["filter", "nat"].contains(&table.as_str()) || explains(comment, &table), "{table}");
    }
}

#[test]
fn every_kind_of_network_is_told_by_a_line_that_can_be_read() {
    let lines = comment("xenvnet_start_network").lines().filter_map(|line| line.strip_prefix("//     "));
    let mut kinds = HashSet::new();
    for line in lines.filter(|line| !line.starts_with(' ')) {
        let words = line.replace(['[', ']'], "").replace("...", "").replace("NAME", "xenbr0").replace("UPLINK", "eth0");
        let words = words.replace("PORT", "eth1").replace("IP/N", "10.0.0.1/24").replace("NET", "10.0.0.0/24");
        let words = words.replace(',', "").replace("ACCESS", "closed").replace("yes|no", "yes");
        let network: Network = words.parse().unwrap_or_else(|error| panic!("{words}: {error}"));
        assert!(kinds.insert(mem::discriminant(&network)), "{line} is told twice");
    }
    assert_eq!(kinds.len(), 7);
}

#[test]
fn the_lines_that_attach_a_guest_are_tried() {
    let tried = include_str!("../../tests/capi/guests.c").replace("vif4.0", "vif1.0");
    let lines: Vec<_> =
        comment("xenvnet_guest_file_new").lines().filter_map(|line| line.strip_prefix("//     ")).collect();
    assert!(lines.len() >= 6);
    for line in lines {
        assert!(tried.lines().any(|tried| tried.trim() == line.trim()), "{line}");
    }
}

#[test]
fn every_severity_is_a_macro_of_its_number() {
    let severities = macros("XENVNET_SEVERITY_");
    let words = words::<Severity>("\"?\"");
    assert_eq!(severities.len(), words.len() + 1, "and that of nothing");
    for word in words {
        let severity: Severity = serde_json::from_value(word.as_str().into()).unwrap();
        let number = finding::number(severity);
        assert_eq!(severities.get(word.to_uppercase().as_str()), Some(&number.to_string().as_str()), "{word}");
        assert_eq!(boundary::text(finding::xenvnet_severity_name(number), "name").unwrap(), word);
    }
}

#[test]
fn the_version_is_the_crates() {
    let version = macros("XENVNET_VERSION");
    let number = |part: &str| version[part];
    assert_eq!(number(""), format!("{:?}", env!("CARGO_PKG_VERSION")));
    let parts = [number("_MAJOR"), number("_MINOR"), number("_PATCH")];
    assert_eq!(parts.join("."), env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_is_made_has_its_free() {
    for line in HEADER.lines().filter(|line| line.starts_with("// `") && line.contains(": owned, ")) {
        let free = line.split_once(": owned, ").and_then(|(_, free)| free.strip_suffix("()."));
        let free = free.unwrap_or_else(|| panic!("{line}"));
        assert!(HEADER.contains(&format!("void {free}(")), "{line}");
    }
    for line in HEADER.lines().filter_map(|line| line.strip_prefix("typedef struct ")) {
        let name = line.split(' ').next().unwrap();
        // Only ever borrowed: they go with their report or file.
        if ["xenvnet_finding", "xenvnet_line"].contains(&name) {
            continue;
        }
        assert!(HEADER.contains(&format!("void {name}_free({name} *")), "{name} cannot be freed");
    }
}

#[test]
fn whatever_can_fail_takes_an_error_last() {
    let functions = HEADER.split("\nint ").skip(1).filter_map(|rest| rest.split_once(';'));
    let mut seen = 0;
    for (declaration, _) in functions {
        let fields = [
            "xenvnet_error_",
            "xenvnet_finding_",
            "xenvnet_report_worst(",
            "xenvnet_watch_fd(",
            "xenvnet_xend_config_vif_antispoof(",
        ];
        if fields.iter().any(|name| declaration.starts_with(name)) {
            continue;
        }
        assert!(declaration.ends_with("xenvnet_error **error)"), "{declaration}");
        seen += 1;
    }
    assert!(seen >= Operation::VERBS.len());
}
