//! What xend-config.sxp says about networks.

use crate::error::Result;
use crate::line::Line;
use crate::reader::Reader;
use crate::sxp::Sxp;
use crate::text::quoted;

/// The part of xend-config.sxp that is about networks. All other entries are other people's and
/// are skipped.
///
/// The lines are kept as they are written; [`Line::parse`] reads a [`Network`](crate::Network) or a
/// [`VifScript`](crate::VifScript) from them and tells what is wrong with the byte and line of the
/// file. Nothing is ever run.
///
/// ```
/// use xenvnet_core::{VifScript, XendConfig};
/// let file = XendConfig::parse("# mine\n(network-script 'network-bridge netdev=eth1')\n(vif-script vif-bridge)\n")?;
/// assert_eq!(file.network_script.unwrap().text, "network-bridge netdev=eth1");
/// assert_eq!(file.vif_script.unwrap().parse::<VifScript>()?, VifScript::Bridge { bridge: None });
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct XendConfig {
    /// What xend ran when it started, with `start` put in after the first word. `None` also for an
    /// empty one: xend then ran nothing.
    #[doc(alias = "network-script")]
    pub network_script: Option<Line>,
    /// What sets up a vif whose guest asks for no script of its own.
    #[doc(alias = "vif-script")]
    pub vif_script: Option<Line>,
    /// The bridge of vifs whose guest names none, in files from before Xen 3.0.
    #[doc(alias = "vif-bridge")]
    pub vif_bridge: Option<Line>,
    /// Whether vifs are held to their addresses, in files from before Xen 3.0. xend took `yes`,
    /// `on` and `1` for yes, and anything else for no; here that is `no`, `off` and `0`.
    #[doc(alias = "vif-antispoof")]
    pub vif_antispoof: Option<bool>,
}

impl XendConfig {
    /// Reads the text of a file.
    ///
    /// Two things that xend passed over in silence are refused, as they are never what was meant:
    /// words after the first that are not in the quotes, `(network-script network-bridge bridge=x)`,
    /// of which xend ran `network-bridge` alone; and an entry that is given twice, of which xend
    /// obeyed the first.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`](crate::ErrorKind::Parse) with the offset, and the line in the text.
    ///
    /// ```
    /// # use xenvnet_core::XendConfig;
    /// let error = XendConfig::parse("(vif-script vif-bridge\n").unwrap_err();
    /// assert_eq!(error.to_string(), "xend's configuration: the parenthesis is never closed at byte 0, line 1");
    /// ```
    pub fn parse(text: &str) -> Result<XendConfig> {
        let mut reader = Reader::new("xend's configuration", text);
        let entries = Sxp::read_all(&mut reader)?;
        let mut config = XendConfig::default();
        let mut seen: Vec<&str> = Vec::new();
        for entry in &entries {
            let Sxp::List { items, place } = entry else { continue };
            let [Sxp::Text(key), values @ ..] = &items[..] else { continue };
            let (network, vif, bridge) = (&mut config.network_script, &mut config.vif_script, &mut config.vif_bridge);
            let field = match key.text.as_str() {
                "network-script" => Some(network),
                "vif-script" => Some(vif),
                "vif-bridge" => Some(bridge),
                "vif-antispoof" => None,
                _ => continue,
            };
            if seen.contains(&key.text.as_str()) {
                return Err(reader.wrong_at(place, format!("({} ...) is given twice", key.text)));
            }
            seen.push(&key.text);
            let value = match values {
                [] => continue,
                [Sxp::Text(value)] => value,
                [Sxp::Text(_), more, ..] => {
                    let why = format!("({} ...) has more than one value", key.text);
                    return Err(reader
                        .wrong_at(more.place(), why)
                        .with_advice(format!("put all of it in quotes: ({} 'SCRIPT KEY=VALUE ...')", key.text)));
                }
                [list, ..] => return Err(reader.wrong_at(list.place(), format!("({} ...) has a list", key.text))),
            };
            match field {
                Some(field) => *field = Some(value.clone()).filter(|line| !line.text.trim().is_empty()),
                None => {
                    config.vif_antispoof = Some(match value.text.as_str() {
                        "yes" | "on" | "1" => true,
                        "no" | "off" | "0" => false,
                        other => {
                            let why = format!("vif-antispoof is {}, neither yes nor no", quoted(other));
                            return Err(reader.wrong_at(value, why));
                        }
                    });
                }
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::network::Network;
    use proptest::prelude::*;

    /// Lines from the file that came with Xen 3 and 4, and from people's notes.
    const FILE: &str = r#"# -*- sh -*-
(logfile /var/log/xen/xend.log)
#(xend-http-server no)
(xend-relocation-hosts-allow '^localhost$ ^localhost\\.localdomain$')
# (network-script network-bridge)
(network-script 'network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24')
(vif-script "vif-bridge bridge=xenbr0")
(dom0-min-mem 196)
(device-model (a (b c)))
"#;

    #[test]
    fn only_the_networks_are_taken() {
        let config = XendConfig::parse(FILE).unwrap();
        let line = config.network_script.unwrap();
        assert_eq!(&FILE[line.offset..][..line.text.len()], line.text);
        assert_eq!(line.number, 6);
        assert!(line.parse::<Network>().is_ok());
        assert_eq!(config.vif_script.unwrap().text, "vif-bridge bridge=xenbr0");
        assert_eq!((config.vif_bridge, config.vif_antispoof), (None, None));
    }

    #[test]
    fn the_oldest_files_have_more() {
        let config =
            XendConfig::parse("(vif-bridge xen-br0)(vif-antispoof no)(network-script '')(vif-script)").unwrap();
        assert_eq!(config.vif_bridge.unwrap().text, "xen-br0");
        assert_eq!(config.vif_antispoof, Some(false));
        assert_eq!((config.network_script, config.vif_script), (None, None));
    }

    #[test]
    fn what_xend_passed_over_is_refused() {
        for (text, expected) in [
            (
                "(network-script network-bridge bridge=x)",
                "(network-script ...) has more than one value at byte 31, line 1",
            ),
            ("(vif-script a)\n(vif-script b)", "(vif-script ...) is given twice at byte 15, line 2"),
            ("(vif-script (a b))", "(vif-script ...) has a list at byte 12, line 1"),
            ("(vif-antispoof maybe)", "vif-antispoof is \"maybe\", neither yes nor no at byte 15, line 1"),
        ] {
            let error = XendConfig::parse(text).unwrap_err();
            assert_eq!(error.to_string(), format!("xend's configuration: {expected}"));
            assert_eq!(error.kind(), ErrorKind::Parse);
        }
        let error = XendConfig::parse("(network-script a b)").unwrap_err();
        assert_eq!(error.advice(), Some("put all of it in quotes: (network-script 'SCRIPT KEY=VALUE ...')"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\((network|vif)-script |[()'\"\\\\# \n]|\\PC){0,40}") {
            let _ = XendConfig::parse(&text);
        }
    }
}
