//! What a host is, in the words of iproute2 and nft.

use serde_json::Value;
use std::collections::BTreeSet;
use xenvnet_tests::{bridge_json, ip_json, nft_json};

/// Bridges, vifs and all elements of our sets in the calling thread's namespace, a fact a line.
pub(crate) fn facts() -> BTreeSet<String> {
    let links = list(ip_json("-d link show")).into_iter().filter_map(|link| of_link(&link));
    let pinned = list(bridge_json("-d fdb show")).into_iter().filter(|entry| entry["state"] == "static");
    let pinned = pinned.map(|entry| format!("{} is pinned to {}", text(&entry["mac"]), text(&entry["ifname"])));
    let rules = nft_json("list ruleset")["nftables"].as_array().cloned().unwrap_or_default();
    links.chain(pinned).chain(rules.iter().flat_map(of_rules)).collect()
}

fn list(value: Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn of_link(link: &Value) -> Option<String> {
    let name = text(&link["ifname"]);
    if link["linkinfo"]["info_kind"] == "bridge" {
        return Some(format!("{name} is a bridge"));
    }
    let up = link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
    let group = if link["group"] == "default" { "default" } else { "guests" };
    let port = &link["linkinfo"]["info_slave_data"];
    let up = if up { "up" } else { "down" };
    name.starts_with("vif").then(|| match link["master"].as_str() {
        Some(bridge) if port["locked"] != port["learning"] => {
            format!("{name} is {up} on {bridge}, locked {}, group {group}", port["locked"])
        }
        Some(bridge) => format!("{name} is a half-made port of {bridge}: {port}"),
        None => format!("{name} is {up}, group {group}"),
    })
}

/// Elements of sets, entries of maps, chains at ingress and rules that masquerade.
fn of_rules(object: &Value) -> Vec<String> {
    let (set, chain, rule) = (&object["set"], &object["chain"], &object["rule"]);
    let name = text(&set["name"]);
    let device = text(&chain["name"]).strip_prefix("ingress-");
    let has_no_own_facts = ["own_mac_raw", "services"].contains(&name) || name.starts_with("dropped_");
    let elements = set["elem"].as_array().into_iter().flatten().filter(|_| !has_no_own_facts);
    let elements = elements.map(|element| format!("{} {name}: {}", text(&set["family"]), words(element)));
    let forwards = object["map"]["elem"].as_array().into_iter().flatten();
    let forwards = forwards.map(|entry| format!("forward {}", text(&entry[0]["elem"]["comment"])));
    let chains = device.map(|device| format!("chain netdev ingress-{device}"));
    let masquerades = (rule["chain"] == "postrouting" && rule["table"] == "xenvnet" && rule["family"] == "inet")
        .then(|| format!("masquerade {}", text(&rule["comment"])));
    elements.chain(forwards).chain(chains).chain(masquerades).collect()
}

/// An element with its comment, without the number of its interface.
fn words(element: &Value) -> String {
    if let Some(parts) = element["concat"].as_array() {
        return parts.iter().map(words).collect::<Vec<_>>().join(" . ");
    }
    let Some(element) = element.get("elem") else { return text(element).to_owned() };
    let value = words(&element["val"]);
    let comment =
        text(&element["comment"]).split(' ').filter(|word| !word.starts_with("dev=") && !word.starts_with("owner="));
    match comment.collect::<Vec<_>>().join(" ") {
        empty if empty.is_empty() => value,
        comment => format!("{value} ({comment})"),
    }
}
