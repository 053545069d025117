//! What can be wrong, and what is to be done about it.

use crate::Lock;
use crate::dom0::Dom0;
use crate::forward::Forward;
use crate::ifname::IfName;
use crate::link::PortState;
use crate::mac::MacAddr;
use crate::masquerade::Masquerade;
use crate::network::Network;
use crate::plan::Plan;
use crate::table::Table;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much a finding matters.
///
/// ```
/// use xenvnet_core::Severity;
/// assert!(Severity::Hole > Severity::Fault && Severity::Fault > Severity::Note);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be, but to be known.
    Note,
    /// A guest is cut off, or something is left over.
    Fault,
    /// Something could get through that should not.
    Hole,
}

impl Severity {
    /// The word for it.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Severity::Hole.name(), "hole");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Fault => "fault",
            Severity::Hole => "hole",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that is not as it was asked for, or is good to know.
///
/// ```
/// use xenvnet_core::{Finding, Severity};
/// let finding = Finding::Renamed { vif: "web".parse()?, was: "vif1.0".parse()? };
/// assert_eq!(finding.to_string(), "web was vif1.0 when it was locked: its lock stands under the old name");
/// assert_eq!(finding.severity(), Severity::Fault);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the words of the finding's own sentence")]
pub enum Finding {
    /// One of our tables is gone although something is to stand in it.
    TableMissing { table: Table },
    /// A table is asleep: its hooks see nothing.
    TableDormant { table: Table },
    /// A rule, a chain or a set is not what it was made.
    TableAltered { table: Table, defect: String },
    /// A table was made by an older version.
    OldLayout { table: Table, layout: u32 },
    /// A guest's interface is not held by the lock that was asked for.
    NotLocked { vif: IfName, table: Table, asked: Lock },
    /// A guest's interface is up, and nobody asked for a lock through this state directory.
    Unguarded { vif: IfName },
    /// The elements that hold it are not those of the lock that was asked for.
    LockDiffers { vif: IfName, table: Table, asked: Lock, missing: usize, surplus: usize },
    /// It was renamed since it was locked.
    Renamed { vif: IfName, was: IfName },
    /// It is not in the group of guests' interfaces, by which it is held back when it is renamed.
    NotInGroup { vif: IfName, group: u32 },
    /// Flags of its bridge port are not those of a lock.
    PortFlags { vif: IfName, found: PortState, asked: PortState },
    /// An address of its lock is not pinned to its port, or not so that it stays.
    NotPinned { vif: IfName, mac: MacAddr },
    /// It was taken off its bridge, perhaps to another one.
    Released { vif: IfName, bridge: IfName, found: Option<IfName> },
    /// It is no port of a bridge, and its frames do not visit the filter where they come in.
    NotAtIngress { vif: IfName },
    /// The guard of the spanning tree protocol shut its port.
    PortShut { vif: IfName, bridge: IfName },
    /// Elements of a table that nobody asked for, as of an interface that is gone.
    Leftover { vif: IfName, table: Table },
    /// A port of a bridge with locked guests that nobody knows.
    UnknownPort { bridge: IfName, port: IfName },
    /// What guests reach on dom0 is not what was asked for.
    Dom0Differs { interface: IfName, asked: Dom0, missing: usize, surplus: usize },
    /// A subnet is not masqueraded any more.
    NotMasqueraded { masquerade: Masquerade },
    /// A port of dom0 that is to lead to a guest does not.
    NotForwarded { forward: Forward },
    /// The record of a network that runs is gone.
    NetworkForgotten { network: Network },
    /// Dom0 keeps track of a guest's connections although it should not.
    Tracked { vif: IfName },
    /// What a guest sends or receives is not counted as was asked for.
    NotAccounted { vif: IfName },
    /// The bridge of a network that runs is gone, or has another name.
    NoBridge { network: Network },
    /// What guests reach on dom0 is said of an interface that is not there.
    NoSuchInterface { interface: IfName, asked: Dom0 },
    /// Somebody else's chain drops forwarded packets unless a rule of its accepts them.
    ForwardDrop { family: String, table: String, chain: String },
    /// A change was cut off in the middle.
    CutOff,
    /// The two ports of a guest with an emulated card: what is flushed leaves them open.
    Pair { vif: IfName, twin: IfName },
    /// This kernel has no lock for bridge ports: the rules alone hold the MAC addresses.
    NoPortLock { vif: IfName },
}

impl Finding {
    /// Every kind, for tests that each interface knows them all.
    ///
    /// ```
    /// assert!(xenvnet_core::Finding::KINDS.contains(&"renamed"));
    /// ```
    pub const KINDS: &'static [&'static str] = &[
        "table_missing",
        "table_dormant",
        "table_altered",
        "old_layout",
        "not_locked",
        "unguarded",
        "lock_differs",
        "renamed",
        "not_in_group",
        "port_flags",
        "not_pinned",
        "released",
        "not_at_ingress",
        "port_shut",
        "leftover",
        "unknown_port",
        "dom0_differs",
        "not_masqueraded",
        "not_forwarded",
        "network_forgotten",
        "tracked",
        "not_accounted",
        "no_bridge",
        "no_such_interface",
        "forward_drop",
        "cut_off",
        "pair",
        "no_port_lock",
    ];

    /// The name of the finding, the same in Rust, Python, C and JSON.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Finding::CutOff.kind(), "cut_off");
    /// ```
    pub fn kind(&self) -> &'static str {
        use Finding::*;
        match self {
            TableMissing { .. } => "table_missing",
            TableDormant { .. } => "table_dormant",
            TableAltered { .. } => "table_altered",
            OldLayout { .. } => "old_layout",
            NotLocked { .. } => "not_locked",
            Unguarded { .. } => "unguarded",
            LockDiffers { .. } => "lock_differs",
            Renamed { .. } => "renamed",
            NotInGroup { .. } => "not_in_group",
            PortFlags { .. } => "port_flags",
            NotPinned { .. } => "not_pinned",
            Released { .. } => "released",
            NotAtIngress { .. } => "not_at_ingress",
            PortShut { .. } => "port_shut",
            Leftover { .. } => "leftover",
            UnknownPort { .. } => "unknown_port",
            Dom0Differs { .. } => "dom0_differs",
            NotMasqueraded { .. } => "not_masqueraded",
            NotForwarded { .. } => "not_forwarded",
            NetworkForgotten { .. } => "network_forgotten",
            Tracked { .. } => "tracked",
            NotAccounted { .. } => "not_accounted",
            NoBridge { .. } => "no_bridge",
            NoSuchInterface { .. } => "no_such_interface",
            ForwardDrop { .. } => "forward_drop",
            CutOff => "cut_off",
            Pair { .. } => "pair",
            NoPortLock { .. } => "no_port_lock",
        }
    }

    /// How much it matters.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Finding::CutOff.severity(), xenvnet_core::Severity::Fault);
    /// ```
    pub fn severity(&self) -> Severity {
        use Finding::*;
        match self {
            Pair { .. } | NoPortLock { .. } | OldLayout { .. } => Severity::Note,
            // Perhaps its rules let guests through: they are not read.
            ForwardDrop { .. } => Severity::Note,
            // What was renamed is held back by its group.
            Renamed { .. }
            | PortShut { .. }
            | Leftover { .. }
            | NotMasqueraded { .. }
            | NetworkForgotten { .. }
            | NotForwarded { .. } => Severity::Fault,
            // Nothing gets through by them.
            TableMissing { table } | TableDormant { table } | TableAltered { table, .. } if table.is_of_accounts() => {
                Severity::Fault
            }
            NotAccounted { .. } | Tracked { .. } | CutOff | NoSuchInterface { .. } => Severity::Fault,
            _ => Severity::Hole,
        }
    }

    /// What is to be done about it, in one line.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Finding::CutOff.remedy(), "xenvnet undo");
    /// ```
    pub fn remedy(&self) -> String {
        use Finding::*;
        match self {
            Unguarded { vif } | UnknownPort { port: vif, .. } => {
                format!("xenvnet antispoof set {vif} --mac MAC --ip IP, or shut it: ip link set {vif} down")
            }
            ForwardDrop { family, table, chain } => match family.as_str() {
                "ip" | "ip6" if table == "filter" => {
                    let program = if family == "ip" { "iptables" } else { "ip6tables" };
                    format!("{program} -I {chain} -i BRIDGE -j ACCEPT; {program} -I {chain} -o BRIDGE -j ACCEPT")
                }
                _ => {
                    format!("nft insert rule {family} {table} {chain} iifname BRIDGE accept, and oifname BRIDGE accept")
                }
            },
            CutOff => "xenvnet undo".to_owned(),
            NoBridge { network } => format!("xenvnet network stop '{network}', and start it again"),
            NoSuchInterface { interface, asked } => {
                format!("xenvnet dom0 set {interface} open; was it renamed? xenvnet dom0 set NEW '{asked}'")
            }
            Pair { .. } => "none needed; after a flush of the rules: xenvnet verify --repair".to_owned(),
            NoPortLock { .. } => "none needed; Linux 5.18 has the lock".to_owned(),
            _ => "xenvnet verify --repair".to_owned(),
        }
    }

    /// Whether [`Host::repair`](crate::Host::repair) mends it.
    ///
    /// ```
    /// assert!(xenvnet_core::Finding::CutOff.is_repairable());
    /// ```
    pub fn is_repairable(&self) -> bool {
        use Finding::*;
        !matches!(
            self,
            Unguarded { .. }
                | UnknownPort { .. }
                | NoBridge { .. }
                | NoSuchInterface { .. }
                | ForwardDrop { .. }
                | Pair { .. }
                | NoPortLock { .. }
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Finding::*;
        match self {
            TableMissing { table } => write!(f, "{table} is missing"),
            TableDormant { table } => write!(f, "{table} is dormant: nothing in it is in force"),
            TableAltered { table, defect } => write!(f, "{table}: {defect}"),
            OldLayout { table, layout } => write!(f, "{table} has the older layout {layout}"),
            NotLocked { vif, table, asked } => write!(f, "{vif} is not in {table}, it should be {asked}"),
            Unguarded { vif } => write!(f, "{vif} is a guest's interface, up, and not locked"),
            LockDiffers { vif, table, asked, missing, surplus } => {
                write!(f, "{vif} should be {asked}; in {table} {}", count(*missing, *surplus))
            }
            Renamed { vif, was } => {
                write!(f, "{vif} was {was} when it was locked: its lock stands under the old name")
            }
            NotInGroup { vif, group } => write!(f, "{vif} is in link group {group}, not in that of guests' interfaces"),
            PortFlags { vif, found, asked } => {
                write!(f, "{vif}: bridge port flags are {found}; they should be {asked}")
            }
            NotPinned { vif, mac } => write!(f, "{vif}: {mac} is not pinned to its port"),
            Released { vif, bridge, found: None } => write!(f, "{vif} is no port of {bridge} any more"),
            Released { vif, bridge, found: Some(found) } => write!(f, "{vif} is a port of {found}, not of {bridge}"),
            NotAtIngress { vif } => write!(f, "{vif}: what comes in by it is not filtered"),
            PortShut { vif, bridge } => {
                write!(f, "{vif} sent a frame of the spanning tree protocol: {bridge} shut its port")
            }
            Leftover { vif, table } => write!(f, "{table} has elements of {vif} that nobody asked for"),
            UnknownPort { bridge, port } => {
                write!(f, "{port} is a port of {bridge}, not locked, and was not attached by xenvnet")
            }
            Dom0Differs { interface, asked, missing, surplus } => {
                write!(f, "dom0 should be {asked} to guests on {interface}; {}", count(*missing, *surplus))
            }
            NotMasqueraded { masquerade } => write!(f, "{masquerade} is not masqueraded any more"),
            NotForwarded { forward } => write!(f, "{} leads to {} no longer", forward.port, forward.to),
            NetworkForgotten { network } => write!(f, "the record of a network that runs is gone: {network}"),
            Tracked { vif } => write!(f, "dom0 tracks connections of {vif}, which should be untracked"),
            NotAccounted { vif } => write!(f, "traffic of {vif} is not counted as it should be"),
            NoBridge { network } => write!(f, "what a network runs on is gone: {network}"),
            NoSuchInterface { interface, asked } => {
                write!(f, "dom0 is {asked} to guests on {interface}, and there is no such interface")
            }
            ForwardDrop { family, table, chain } => write!(
                f,
                "chain {chain} of table {family} {table} drops forwarded packets that no rule of its accepts: \
                 guests may be cut off"
            ),
            CutOff => f.write_str("a change was cut off in the middle"),
            Pair { vif, twin } => {
                write!(f, "{vif} and {twin} are one guest's card: both learn, and rules alone hold their MAC address")
            }
            NoPortLock { vif } => write!(f, "{vif}: this kernel has no port lock; rules alone hold its MAC address"),
        }
    }
}

pub(super) fn count(missing: usize, surplus: usize) -> String {
    let elements = |count: usize| if count == 1 { "1 element is".to_owned() } else { format!("{count} elements are") };
    match (missing, surplus) {
        (missing, 0) => format!("{} missing", elements(missing)),
        (0, surplus) => format!("{} too many", elements(surplus)),
        (missing, surplus) => format!("{} missing, {surplus} too many", elements(missing)),
    }
}

/// All that was found, and the plan that mends what can be mended.
///
/// ```
/// let report = xenvnet_core::Report::default();
/// assert!(report.is_sound());
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The findings, by what they are about.
    pub findings: Vec<Finding>,
    /// What mends them.
    pub repair: Plan,
}

impl Report {
    /// Reads a report from JSON, as it is written by serde.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`](crate::ErrorKind::Parse) with the offset of what could not be read.
    ///
    /// ```
    /// let report = xenvnet_core::Report::from_json(r#"{"findings":[{"finding":"cut_off"}],"repair":[]}"#)?;
    /// assert_eq!(report.findings, [xenvnet_core::Finding::CutOff]);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_json(text: &str) -> crate::Result<Report> {
        crate::text::from_json(text, "report")
    }

    /// Whether there is nothing worse than a note.
    ///
    /// ```
    /// assert!(xenvnet_core::Report::default().is_sound());
    /// ```
    pub fn is_sound(&self) -> bool {
        self.worst().is_none_or(|worst| worst == Severity::Note)
    }

    /// How bad the worst finding is.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Report::default().worst(), None);
    /// ```
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(Finding::severity).max()
    }
}

impl Report {
    /// The part of it that is about what dead guests left: the findings, and a plan that clears that away
    /// and touches nothing else. Accounts are no leftovers: they belong to names.
    ///
    /// ```
    /// assert!(xenvnet_core::Report::default().leftovers().findings.is_empty());
    /// ```
    pub fn leftovers(&self) -> Report {
        let is_left = |finding: &&Finding| matches!(finding, Finding::Leftover { .. });
        let findings: Vec<_> = self.findings.iter().filter(is_left).cloned().collect();
        Report { repair: super::repair::sweep(&findings), findings }
    }
}

impl fmt::Display for Report {
    /// One line a finding, and below it the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{}: {finding}\n  remedy: {}", finding.severity(), finding.remedy())?;
        }
        Ok(())
    }
}
