//! What a host holds on its interfaces, exactly: addresses, routes, rules, next hops, neighbours.

use crate::oracle::ip;
use std::collections::BTreeSet;
use std::time::Instant;

/// Everything that iproute2 tells of the IP layer of the calling thread's namespace, one fact a line,
/// in its own words, which say more than its JSON does. Nothing is left out but what ages.
#[derive(Clone, Debug)]
pub struct Holdings {
    facts: Vec<Fact>,
    taken: Instant,
}

#[derive(Clone, Debug)]
struct Fact {
    /// Its words; seconds that are left of something are `…sec`.
    words: Vec<String>,
    /// Those seconds.
    seconds: Vec<u64>,
}

/// A word in the place of seconds that run.
const RUNNING: &str = "…sec";

/// How many seconds are lost and won when what is left of a life is told in whole seconds, twice.
const ROUNDING: u64 = 3;

impl Holdings {
    /// Of the calling thread's namespace, as it is now.
    pub fn take() -> Holdings {
        let taken = Instant::now();
        let mut facts = Vec::new();
        let mut section = |name: &str, text: String| {
            facts.extend(text.lines().filter(|line| !line.trim().is_empty()).map(|line| Fact::new(name, line)));
        };
        // The order of addresses says which is the first, from which a host talks; that of rules,
        // which holds; that of routes, nothing.
        section("address", numbered(&unindexed(&ip("-o -4 address show"))));
        section("address6", numbered(&unindexed(&ip("-o -6 address show"))));
        section("route", ip("-o -d -N -4 route show table all"));
        section("route6", ip("-o -d -N -6 route show table all"));
        section("rule", numbered(&ip("-o -d -N -4 rule show")));
        section("rule6", numbered(&ip("-o -d -N -6 rule show")));
        section("nexthop", ip("-o -d -N nexthop show"));
        section("neighbour", known(&ip("-N neighbour show nud all")));
        section("proxy", ip("-4 neighbour show proxy") + &ip("-6 neighbour show proxy"));
        Holdings { facts, taken }
    }

    /// Those that speak of an interface.
    pub fn of(&self, interface: &str) -> Holdings {
        self.filter(|fact| fact.is_of(interface))
    }

    /// Those that do not.
    pub fn not_of(&self, interface: &str) -> Holdings {
        self.filter(|fact| !fact.is_of(interface))
    }

    /// What they would be if an interface had another name.
    pub fn renamed(&self, from: &str, to: &str) -> Holdings {
        let mut renamed = self.clone();
        for word in renamed.facts.iter_mut().flat_map(|fact| &mut fact.words) {
            // A label begins with the name.
            match word.strip_prefix(from) {
                Some(rest) if rest.is_empty() || rest.starts_with(':') => *word = format!("{to}{rest}"),
                _ => {}
            }
        }
        renamed
    }

    /// Without the times at which lives end.
    pub fn undated(&self) -> Holdings {
        let facts = self.facts.iter().map(|fact| Fact { words: fact.words.clone(), seconds: Vec::new() });
        Holdings { facts: facts.collect(), taken: self.taken }
    }

    /// Without the facts that contain one of these words.
    pub fn without(&self, words: &[&str]) -> Holdings {
        self.filter(|fact| !fact.words.iter().any(|word| words.contains(&word.as_str())))
    }

    /// What is left without that which the kernel gives to any interface that is up: its link-local
    /// address, and the routes of that and of groups.
    pub fn beyond_the_links_own(&self) -> String {
        let is_own = |word: &String| ["fe80:", "ff00::/8"].iter().any(|own| word.starts_with(own));
        let rest = self.filter(|fact| !fact.words.iter().any(is_own));
        rest.lines().iter().map(|line| format!("+ {line}\n")).collect()
    }

    fn filter(&self, keep: impl Fn(&Fact) -> bool) -> Holdings {
        Holdings { facts: self.facts.iter().filter(|fact| keep(fact)).cloned().collect(), taken: self.taken }
    }

    /// These are those from before, with the facts that went and came where they are not.
    ///
    /// # Panics
    /// When they differ.
    #[track_caller]
    pub fn assert_same(&self, before: &Holdings, when: &str) {
        let difference = self.difference(before);
        assert!(difference.is_empty(), "the host holds something else {when}:\n{difference}");
    }

    /// The facts that went and came, one a line, those first that went.
    pub fn difference(&self, before: &Holdings) -> String {
        let [new, old] = [self, before].map(Holdings::lines);
        let mut lines: Vec<String> = old.difference(&new).map(|line| format!("- {line}\n")).collect();
        lines.extend(new.difference(&old).map(|line| format!("+ {line}\n")));
        lines.extend(self.misdated(before));
        lines.concat()
    }

    /// A fact that is there twice is there twice.
    fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for fact in &self.facts {
            let mut line = fact.words.join(" ");
            while !lines.insert(line.clone()) {
                line.push_str(" (again)");
            }
        }
        lines
    }

    /// The facts whose lives end at another time than before.
    fn misdated(&self, before: &Holdings) -> Vec<String> {
        let passed = self.taken.duration_since(before.taken).as_secs();
        let earlier = |fact: &Fact| before.facts.iter().find(|other| other.words == fact.words);
        let pairs = self.facts.iter().filter_map(|fact| Some((fact, earlier(fact)?)));
        let misdated = pairs.filter(|(now, then)| {
            now.seconds.iter().zip(&then.seconds).any(|(now, then)| (now + passed).abs_diff(*then) > ROUNDING)
        });
        misdated
            .map(|(now, then)| format!("! {}: {:?}, was {:?}\n", now.words.join(" "), now.seconds, then.seconds))
            .collect()
    }
}

impl Fact {
    fn new(section: &str, line: &str) -> Fact {
        let mut fact = Fact { words: vec![section.to_owned()], seconds: Vec::new() };
        // In one line, iproute2 writes a backslash where a new line would begin.
        for word in line.split([' ', '\t', '\\']).filter(|word| !word.is_empty()) {
            let running =
                word.strip_suffix("sec").and_then(|seconds| seconds.parse::<u64>().ok()).filter(|left| *left > 0);
            let is_running = running.is_some();
            fact.seconds.extend(running);
            fact.words.push(if is_running { RUNNING.to_owned() } else { word.to_owned() });
        }
        fact
    }

    fn is_of(&self, interface: &str) -> bool {
        self.words.iter().skip(1).any(|word| word == interface)
    }
}

/// Lines of `ip -o address` without the kernel's number of the interface.
fn unindexed(text: &str) -> String {
    text.lines().filter_map(|line| line.split_once(": ")).map(|(_, rest)| format!("{rest}\n")).collect()
}

/// Lines, each with its place among those that begin with the same word.
fn numbered(text: &str) -> String {
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let lines: Vec<_> = text.lines().collect();
    let place = |at: usize| lines[..at].iter().filter(|line| first(line) == first(lines[at])).count() + 1;
    (0..lines.len()).map(|at| format!("{} #{}\n", lines[at], place(at))).collect()
}

/// The neighbours that somebody set or that were found, without the groups, which come and go with
/// what listens, and without the host itself, which the kernel has on the loopback while it talks to
/// itself. What was found may have aged meanwhile.
fn known(text: &str) -> String {
    let mut known = String::new();
    for line in text.lines().filter(|line| line.contains(" lladdr ")) {
        let is_group = line.starts_with("ff") || line.contains(" lladdr 33:33:") || line.contains(" lladdr 01:00:5e:");
        let (head, state) = line.trim_end().rsplit_once(' ').unwrap_or((line, ""));
        match state {
            _ if is_group || line.contains(" dev lo ") => {}
            "REACHABLE" | "STALE" | "DELAY" | "PROBE" => known.push_str(&format!("{head} found\n")),
            _ => known.push_str(&format!("{line}\n")),
        }
    }
    known
}
