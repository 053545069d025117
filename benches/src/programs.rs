//! The peers that start programs: the same kernel changes in the same safe order by nft, ip and bridge.

use crate::bed::{BRIDGE, IP, MAC, VIF};
use std::io::Write;
use std::process::{Command, Stdio};

/// One call of a program: its words, and what it reads.
struct Call {
    words: Vec<String>,
    input: String,
}

impl Call {
    fn new(line: &str) -> Call {
        Call { words: line.split(' ').map(str::to_owned).collect(), input: String::new() }
    }

    /// Many lines of one program in one process.
    fn batch(line: &str, lines: &[String]) -> Call {
        Call { input: lines.iter().map(|line| format!("{line}\n")).collect(), ..Call::new(line) }
    }

    /// A statement of nft, which is one word.
    fn nft(statement: &str) -> Call {
        Call { words: vec!["nft".to_owned(), statement.to_owned()], input: String::new() }
    }

    fn run(&self) {
        let mut child = Command::new(&self.words[0])
            .args(&self.words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.words[0]));
        // Dropped at once, so that the program reads to the end.
        child.stdin.take().expect("a pipe was asked for").write_all(self.input.as_bytes()).expect("it reads");
        let status = child.wait().expect("a child of ours");
        // A benchmark of what did not happen says nothing.
        assert!(status.success(), "{:?} failed: {status}", self.words);
    }
}

/// Runs one line in a process of its own.
pub(crate) fn run(line: &str) {
    Call::new(line).run();
}

/// Calls that attach the vif, and calls that detach it.
pub(crate) struct Programs {
    attach: Vec<Call>,
    detach: Vec<Call>,
}

impl Programs {
    pub(crate) fn run_attach(&self) {
        self.attach.iter().for_each(Call::run);
    }

    pub(crate) fn run_detach(&self) {
        self.detach.iter().for_each(Call::run);
    }

    /// As few processes as these programs can do it with.
    pub(crate) fn batched(comment: &str) -> Programs {
        let fdb = fdb();
        Programs {
            attach: vec![
                Call::batch("nft -f -", &elements("add", comment)),
                Call::batch("ip -batch -", &[settings().join(" "), enslave(), flags()]),
                Call::new(&fdb),
                Call::batch("ip -details -batch -", &[read_back(), format!("link set {VIF} up")]),
            ],
            detach: vec![
                Call::batch("ip -batch -", &[format!("link set {VIF} down"), format!("link set {VIF} nomaster")]),
                Call::batch("nft -f -", &elements("delete", comment)),
            ],
        }
    }

    /// One process a change, as a script does it.
    pub(crate) fn separate(comment: &str) -> Programs {
        let nft = |verb| elements(verb, comment).into_iter().map(|statement| Call::nft(&statement));
        let ip = |line: String| Call::new(&format!("ip {line}"));
        let [target, group, address, mtu, link_local] = settings();
        let settings = [group, address, mtu, link_local].map(|setting| ip(format!("{target} {setting}")));
        Programs {
            attach: nft("add")
                .chain(settings)
                .chain([
                    ip(enslave()),
                    ip(flags()),
                    Call::new(&fdb()),
                    Call::new(&format!("ip -details {}", read_back())),
                    ip(format!("link set {VIF} up")),
                ])
                .collect(),
            detach: [ip(format!("link set {VIF} down")), ip(format!("link set {VIF} nomaster"))]
                .into_iter()
                .chain(nft("delete"))
                .collect(),
        }
    }
}

fn elements(verb: &str, comment: &str) -> Vec<String> {
    let comment = if verb == "add" { format!(" comment \"{comment}\"") } else { String::new() };
    [
        format!("guarded {{ \"{VIF}\"{comment} }}"),
        format!("own_mac {{ \"{VIF}\" . {MAC} }}"),
        format!("own_mac_raw {{ \"{VIF}\" . 0x{} }}", MAC.replace(':', "")),
        format!("own_ip4 {{ \"{VIF}\" . {MAC} . {IP} }}"),
    ]
    .map(|element| format!("{verb} element bridge xenvnet {element}"))
    .to_vec()
}

/// What is set, and to what.
fn settings() -> [String; 5] {
    [
        format!("link set {VIF}"),
        format!("group {}", xenvnet_core::VIF_GROUP),
        format!("address {}", xenvnet_core::MacAddr::VIF_BACKEND),
        "mtu 1500".to_owned(),
        "addrgenmode none".to_owned(),
    ]
}

fn enslave() -> String {
    format!("link set {VIF} master {BRIDGE}")
}

fn flags() -> String {
    format!(
        "link set {VIF} type bridge_slave learning off flood off isolated off locked on group_fwd_mask 0xfffd fdb_flush"
    )
}

fn fdb() -> String {
    format!("bridge fdb add {MAC} dev {VIF} master static sticky")
}

fn read_back() -> String {
    format!("link show {VIF}")
}
