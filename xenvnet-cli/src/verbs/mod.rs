//! One file a group of verbs: arguments in, operations or a report out.

pub(crate) mod accounting;
pub(crate) mod antispoof;
pub(crate) mod bridge;
pub(crate) mod confirm;
pub(crate) mod desired;
pub(crate) mod dhcp;
pub(crate) mod dom0;
pub(crate) mod forward;
pub(crate) mod gc;
pub(crate) mod generate;
pub(crate) mod guard;
pub(crate) mod lock;
pub(crate) mod mac;
pub(crate) mod mac_check;
pub(crate) mod masquerade;
pub(crate) mod network;
pub(crate) mod plan;
pub(crate) mod spec;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod vif;
pub(crate) mod watch;
