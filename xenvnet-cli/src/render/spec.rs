//! A vif of a guest's configuration: what it says, and what is wrong with it.

use super::columns::{Cell, table};
use crate::output::{DIM, RED, YELLOW, paint};
use crate::verbs::spec::Explained;
use xenvnet_core::Error;

pub(crate) fn spec(keys: &[Explained], unenforceable: &[String]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let row = |explained: &Explained| {
        let value = match &explained.value {
            Some(value) => value.as_str().into(),
            None => Cell(format!("- ({})", explained.default), DIM),
        };
        vec![explained.key.as_str().into(), value]
    };
    let note = |said: &String| paint(YELLOW, format_args!("nobody here sees to {said}")) + "\n";
    table(&["KEY", "VALUE"], keys.iter().map(row).collect()) + &unenforceable.iter().map(note).collect::<String>()
}

/// Each with a mark below the byte that it begins at.
pub(crate) fn mistakes(text: &str, mistakes: &[Error]) -> String {
    mistakes.iter().map(|error| marked(text, error)).collect()
}

fn marked(text: &str, error: &Error) -> String {
    let mark = match error.offset().and_then(|offset| text.get(..offset)) {
        Some(before) if !text.contains(char::is_control) => {
            format!("  {text}\n  {}{}\n", " ".repeat(before.chars().count()), paint(RED, "^"))
        }
        _ => String::new(),
    };
    let advice = error.advice().map(|advice| format!("{advice}\n")).unwrap_or_default();
    format!("{mark}{} {error}\n{advice}", paint(RED.bold(), "mistake:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::{Strictness, VifSpec};

    fn shown(text: &str) -> String {
        let read = VifSpec::from_xl(text, Strictness::Lenient);
        let wrong = read.map_or_else(|error| vec![error], |(_, warnings)| warnings);
        anstream::adapter::strip_str(&mistakes(text, &wrong)).to_string()
    }

    #[test]
    fn a_mistake_is_marked_where_it_is() {
        insta::assert_snapshot!(shown("\u{fc}=1,mac=00:16:3e:00:00:01,iP=10.0.0.1"), @r#"
          ü=1,mac=00:16:3e:00:00:01,iP=10.0.0.1
          ^
        mistake: vif: unknown key "ü" at byte 0
          ü=1,mac=00:16:3e:00:00:01,iP=10.0.0.1
                                    ^
        mistake: vif: unknown key "iP" at byte 27; did you mean "ip"?
        "#);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_shown_to_it() {
        let text = shown("iP=\u{7}");
        assert!(text.starts_with("mistake: ") && !text.contains('\u{7}'), "{text:?}");
    }
}
