//! What a host is to be after each call of a crowd, without a word of how it is done.

use super::facts::facts;
use std::collections::{BTreeMap, BTreeSet};
use xenvnet_core::{Attachment, Dom0, ErrorKind, Forward, IfName, Lock, Operation, Outcome, Port};

/// A host as these calls leave it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    bridges: BTreeSet<IfName>,
    vifs: BTreeMap<IfName, Vif>,
    /// Numbers of accounts.
    accounts: BTreeMap<IfName, u32>,
    masquerades: BTreeSet<String>,
    forwards: BTreeMap<String, Forward>,
    /// Whose guests do not reach dom0.
    shielded: BTreeSet<IfName>,
}

/// A guest's interface.
#[derive(Clone, Debug, Default, PartialEq)]
struct Vif {
    bridge: Option<IfName>,
    up: bool,
    lock: Option<Lock>,
    /// Whether it is held where its frames come in.
    ingress: bool,
    /// Whether it is in the guests' link group.
    grouped: bool,
}

impl Vif {
    /// Off its bridge. One that is locked goes down with it: the bridge's filter sees its frames no
    /// more. One that is not, and no netback's, is left as it is.
    fn release(&mut self) {
        self.up &= self.bridge.is_none() || self.lock.is_none();
        self.bridge = None;
    }
}

impl Model {
    /// A host that has these vifs and nothing else.
    pub(crate) fn of(vifs: impl IntoIterator<Item = IfName>) -> Model {
        Model { vifs: vifs.into_iter().map(|vif| (vif, Vif::default())).collect(), ..Model::default() }
    }

    /// What a call comes to: all of its operations or none.
    pub(crate) fn call(&mut self, operations: &[Operation]) -> Result<Outcome, ErrorKind> {
        let mut after = self.clone();
        let mut outcome = Outcome::Unchanged;
        for operation in operations {
            let before = after.clone();
            after.operate(operation)?;
            if after != before {
                outcome = Outcome::Changed;
            }
        }
        *self = after;
        Ok(outcome)
    }

    fn operate(&mut self, operation: &Operation) -> Result<(), ErrorKind> {
        match operation {
            Operation::CreateBridge(bridge) => drop(self.bridges.insert(bridge.name)),
            Operation::DeleteBridge { bridge } => self.delete(*bridge),
            Operation::AttachVif(attachment) => self.attach(attachment)?,
            Operation::DetachVif { vif } => {
                let vif = self.vif(*vif);
                *vif = Vif { grouped: vif.grouped, ..Vif::default() };
            }
            Operation::SetAntispoof { vif, lock } => {
                let vif = self.vif(*vif);
                (vif.lock, vif.grouped, vif.ingress) = (Some(lock.clone()), true, vif.bridge.is_none());
            }
            Operation::ClearAntispoof { vif } => {
                let vif = self.vif(*vif);
                *vif = Vif { bridge: vif.bridge, up: vif.up, ..Vif::default() };
            }
            Operation::ReleaseVif { vif } => self.vif(*vif).release(),
            Operation::MasqueradeSubnet(subnet) => drop(self.masquerades.insert(subnet.to_string())),
            Operation::UnmasqueradeSubnet(subnet) => drop(self.masquerades.remove(&subnet.to_string())),
            Operation::ForwardPort(forward) => match self.forwards.get(&forward.port.to_string()) {
                Some(there) if there.to != forward.to => return Err(ErrorKind::Conflict),
                _ => drop(self.forwards.insert(forward.port.to_string(), forward.clone())),
            },
            Operation::UnforwardPort { port } => drop(self.forwards.remove(&port.to_string())),
            Operation::SetDom0 { interface, access: Dom0::Closed } => drop(self.shielded.insert(*interface)),
            Operation::SetDom0 { interface, access: Dom0::Open } => drop(self.shielded.remove(interface)),
            Operation::ForgetAccount { name } => drop(self.accounts.remove(name)),
            other => panic!("no crowd asks to {other}"),
        }
        Ok(())
    }

    fn vif(&mut self, vif: IfName) -> &mut Vif {
        self.vifs.get_mut(&vif).expect("a vif of the crowd")
    }

    fn delete(&mut self, bridge: IfName) {
        if self.bridges.remove(&bridge) {
            self.shielded.remove(&bridge);
            self.vifs.values_mut().filter(|vif| vif.bridge == Some(bridge)).for_each(Vif::release);
        }
    }

    fn attach(&mut self, attachment: &Attachment) -> Result<(), ErrorKind> {
        let Port::Bridge { bridge, .. } = attachment.to else { panic!("a crowd on bridges") };
        if !self.bridges.contains(&bridge) {
            return Err(ErrorKind::NotFound);
        }
        if self.vif(attachment.vif).bridge.is_some_and(|there| there != bridge) {
            return Err(ErrorKind::Conflict);
        }
        let lock = Some(attachment.lock.clone()).filter(Lock::is_guarded);
        *self.vif(attachment.vif) =
            Vif { bridge: Some(bridge), up: true, grouped: lock.is_some(), lock, ingress: false };
        if attachment.accounted && !self.accounts.contains_key(&attachment.vif) {
            let free = (1..).find(|number| !self.accounts.values().any(|taken| taken == number));
            self.accounts.insert(attachment.vif, free.expect("a number"));
        }
        Ok(())
    }

    /// The kernel is as it says.
    #[track_caller]
    pub(crate) fn is_so(&self) {
        let (is, ought) = (facts(), self.facts());
        let difference: BTreeSet<_> = is.symmetric_difference(&ought).collect();
        assert!(difference.is_empty(), "the kernel and the model differ: {difference:#?}");
    }

    /// All of it, a fact a line, in the words of [`facts`].
    fn facts(&self) -> BTreeSet<String> {
        let mut facts = BTreeSet::new();
        let mut say = |fact: String| facts.extend([fact]);
        self.bridges.iter().for_each(|bridge| say(format!("{bridge} is a bridge")));
        for (name, vif) in &self.vifs {
            let group = if vif.grouped { "guests" } else { "default" };
            let up = if vif.up { "up" } else { "down" };
            say(match vif.bridge {
                Some(bridge) => format!("{name} is {up} on {bridge}, locked {}, group {group}", vif.lock.is_some()),
                None => format!("{name} is {up}, group {group}"),
            });
            let Some(lock) = &vif.lock else { continue };
            if vif.bridge.is_some() {
                lock.macs().iter().for_each(|mac| say(format!("{mac} is pinned to {name}")));
            }
            if vif.ingress {
                say(format!("chain netdev ingress-{name}"));
                say(format!("inet at_ingress: {name}"));
            }
            for family in ["bridge", "netdev"].into_iter().filter(|family| *family == "bridge" || vif.ingress) {
                say(format!("{family} guarded: {name} ({lock})"));
                let Lock::Locked(lock) = lock else { continue };
                for mac in &lock.macs {
                    say(format!("{family} own_mac: {name} . {mac}"));
                    lock.ips.iter().for_each(|ip| say(format!("{family} own_ip4: {name} . {mac} . {}", ip.ip())));
                }
            }
        }
        for (name, number) in &self.accounts {
            say(format!("bridge sent: {name} (index={number})"));
            say(format!("bridge received: {name}"));
        }
        self.masquerades.iter().for_each(|subnet| say(format!("masquerade {subnet}")));
        self.forwards.values().for_each(|forward| say(format!("forward {forward}")));
        self.shielded.iter().for_each(|interface| say(format!("inet shielded: {interface} (closed)")));
        facts
    }
}
