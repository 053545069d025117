//! Every verb that changes something, killed at each of its calls, and refused each of them by the kernel:
//! what is left is brought to what was wanted by the same command, or to what was before by `undo`.
//!
//! Tries some points of each verb; all with `XENVNET_EVERY_POINT`. Networks that are killed are in `killed`.

mod call;

use call::{CALLS, run_at, under_strace};
use std::any::Any;
use xenvnet_core::Attachment;
use xenvnet_tests::{Dom0, FakeVif, Image, Liar, StateDir, has_program, ip, nft};

/// How many points of a verb are tried where not all are. Left out are most calls, most of what is done to
/// each, and all but one of its remedies.
const SOME: usize = 2;

/// Whether the next command that changes something puts back first what was cut off before it.
const OTHERS_PUT_BACK: bool = true;

/// What the kernel answers in the middle of it; `EINTR` is asked for again.
const ERRORS: [&str; 5] = ["EPERM", "ENOBUFS", "ENOMEM", "EINTR", "ENOSPC"];

/// A host on which a verb is tried, built for each point anew.
struct Stage {
    liar: Option<Liar>,
    _dom0: Dom0,
    _props: Box<dyn Any>,
}

impl Stage {
    fn of(dom0: Dom0, props: impl Any) -> Option<Stage> {
        Some(Stage { liar: None, _dom0: dom0, _props: Box::new(props) })
    }

    /// With a guest that lies, attached already if told.
    fn lying(attached: bool) -> Option<Stage> {
        let dom0 = Dom0::enter()?;
        let liar = Liar::bridged(&dom0, "vif1.0");
        always_the_same(&["vif1.0", "peth0"]);
        if attached {
            let attachment = Attachment::bridged(name("vif1.0"), name("xenbr0"), Liar::lock());
            dom0.host.attach_vif(&attachment).unwrap().is_changed();
        }
        Some(Stage { liar: Some(liar), _dom0: dom0, _props: Box::new(()) })
    }
}

/// A command, and where it is tried.
struct Verb {
    line: &'static str,
    stage: fn() -> Option<Stage>,
    /// What is done before it, and by nft(8); what only mends or puts back has that in its history.
    after: &'static [&'static str],
    /// Whether it notes how it is put back: what only mends or puts back is done again instead.
    is_undone: bool,
}

/// What makes up for a command that was cut off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Remedy {
    Again,
    Undo,
    /// Another command that changes something.
    Another,
}

/// A call of the command that does not return as it should.
#[derive(Clone, Debug)]
struct Blow {
    call: &'static str,
    /// As strace(1) has it after `inject=CALL:`.
    what: String,
    at: usize,
}

impl Blow {
    fn kills(&self) -> bool {
        self.what.starts_with("signal")
    }
}

impl Verb {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.line.split(' ')
    }

    /// Tries all blows of this verb; prints how many points there were and how many were right.
    fn walk(&self) {
        if !has_program("strace") {
            return;
        }
        let Some((before, wanted)) = self.images() else { return };
        let blows = self.blows();
        let is_full = std::env::var_os("XENVNET_EVERY_POINT").is_some();
        let apart = if is_full { 1 } else { blows.len().div_ceil(SOME).max(1) };
        let first = self.line.bytes().map(usize::from).sum::<usize>() % apart;
        let (mut tried, mut wrong) = (0, Vec::new());
        for (nth, blow) in blows.into_iter().skip(first).step_by(apart).enumerate() {
            let remedies = self.remedies(&blow);
            let remedies = if is_full { remedies } else { vec![remedies[nth % remedies.len()]] };
            for remedy in remedies {
                let Some(stage) = (self.stage)() else { return };
                tried += 1;
                if let Err(why) = self.point(&stage, &blow, remedy, &before, &wanted) {
                    wrong.push(format!("{blow:?}, then {remedy:?}: {why}"));
                }
            }
        }
        println!("{:60} {tried:>6} {:>6}", self.line, tried - wrong.len());
        assert!(tried > 0, "{}: nothing was tried", self.line);
        assert!(wrong.is_empty(), "{}:\n{}", self.line, wrong.join("\n"));
    }

    fn remedies(&self, blow: &Blow) -> Vec<Remedy> {
        if !self.is_undone {
            return vec![Remedy::Again];
        }
        // What was killed half-way looks to the same command as if all of it were done: a bridge without its
        // settings, a table without its last rule.
        let again = (OTHERS_PUT_BACK || !blow.kills()).then_some(Remedy::Again);
        let another = OTHERS_PUT_BACK.then_some(Remedy::Another);
        again.into_iter().chain([Remedy::Undo]).chain(another).collect()
    }

    /// What the host is like before it and after it.
    fn images(&self) -> Option<(Image, Image)> {
        let stage = (self.stage)()?;
        let state = self.history();
        let before = at_rest();
        let answer = run_at(state.path(), self.words());
        assert_eq!(answer.exit, 0, "{}: {}", self.line, answer.err);
        let wanted = at_rest();
        assert!(!wanted.difference(&before).is_empty(), "{} changes nothing", self.line);
        drop(stage);
        Some((before, wanted))
    }

    /// A history in which nothing else was changed than what the verb is about.
    fn history(&self) -> StateDir {
        let (state, other) = (StateDir::new(), StateDir::new());
        let before = if self.is_undone { &other } else { &state };
        for line in self.after {
            if let Some(damage) = line.strip_prefix("nft ") {
                nft(damage);
                continue;
            }
            let answer = run_at(before.path(), line.split(' '));
            assert_eq!(answer.exit, 0, "{line}: {}", answer.err);
        }
        state
    }

    /// All that can be done to each call that it makes.
    fn blows(&self) -> Vec<Blow> {
        let mut blows = Vec::new();
        let Some(_stage) = (self.stage)() else { return blows };
        let state = self.history();
        let traced = StateDir::new();
        let trace = traced.path().join("trace");
        let filter = format!("trace={}", CALLS.join(","));
        let output = under_strace(&["-o", trace.to_str().unwrap(), "-e", &filter], state.path(), self.words());
        assert!(output.status.success(), "{output:?}");
        let trace = std::fs::read_to_string(trace).unwrap();
        for call in CALLS {
            let count = trace.lines().filter(|line| line.starts_with(&format!("{call}("))).count();
            // What it says of what it did comes last; a pipe that is closed is not a matter of networks.
            let errors = ERRORS.iter().filter(|_| call != "write").map(|errno| format!("error={errno}"));
            for what in ["signal=SIGKILL".to_owned()].into_iter().chain(errors) {
                blows.extend((1..=count).map(|at| Blow { call, what: what.clone(), at }));
            }
        }
        blows
    }

    fn point(&self, stage: &Stage, blow: &Blow, remedy: Remedy, before: &Image, wanted: &Image) -> Result<(), String> {
        let state = self.history();
        let Blow { call, what, at } = blow;
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{what}:when={at}"));
        let output = under_strace(&["-o", "/dev/null", "-e", &trace, "-e", &inject], state.path(), self.words());
        if output.status.success() {
            is(wanted).map_err(|why| format!("it succeeded, but {why}"))?;
        } else if output.status.code().is_some_and(|code| code != 1) {
            return Err(format!("it ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        } else if !blow.kills() && self.is_undone {
            // It lived to put it back itself.
            let told = || String::from_utf8_lossy(&output.stderr).into_owned();
            is(before).map_err(|why| format!("it failed, but {why}\nafter {}", told()))?;
        }
        match remedy {
            Remedy::Again => {
                let answer = run_at(state.path(), self.words());
                let is_undone = self.line == "undo" && answer.err.contains("no change was made");
                // What is mended is mended, and that it was cut off before is told all the same.
                let is_told = !OTHERS_PUT_BACK && !self.is_undone && answer.err.contains("was cut off");
                if answer.exit != 0 && !is_undone && !is_told {
                    return Err(format!("done again, it says: {}", answer.err));
                }
                is(wanted).map_err(|why| format!("done again, {why}"))?;
            }
            Remedy::Undo => {
                let answer = run_at(state.path(), ["undo"]);
                if answer.exit != 0 && !answer.err.contains("no change was made") {
                    return Err(format!("undo says: {}", answer.err));
                }
                // Done, and it could not be noted how: then it stays.
                let stays = output.status.success() && answer.exit != 0 && !blow.kills() && blow.call == "pwrite64";
                is(if stays { wanted } else { before }).map_err(|why| format!("undone, {why}"))?;
            }
            Remedy::Another => {
                let answer = run_at(state.path(), ["bridge", "create", "another0"]);
                if answer.exit != 0 {
                    return Err(format!("the next command says: {}", answer.err));
                }
                run_at(state.path(), ["bridge", "delete", "another0"]);
                // Killed when all was done, and before it could say so, it may be put back.
                let former = is(before);
                let right = match output.status.success() {
                    true => is(wanted),
                    false => former.or_else(|why| is(wanted).map_err(|_| why)),
                };
                right.map_err(|why| format!("after another one, {why}"))?;
            }
        }
        match stage.liar.as_ref().and_then(Liar::heard) {
            Some(heard) => Err(heard),
            None => Ok(()),
        }
    }
}

fn name(text: &str) -> xenvnet_core::IfName {
    text.parse().unwrap()
}

/// What the kernel does by itself, it does in its own time.
fn is(image: &Image) -> Result<(), String> {
    let mut difference = String::new();
    for _ in 0..20 {
        difference = Image::take().difference(image);
        if difference.is_empty() {
            return Ok(());
        }
    }
    Err(format!("the host differs:\n{difference}"))
}

fn at_rest() -> Image {
    let mut last = Image::take();
    loop {
        let now = Image::take();
        if now == last {
            return now;
        }
        last = now;
    }
}

macro_rules! verbs {
    ($($test:ident: $line:expr, $stage:expr, $after:expr, $is_undone:expr;)*) => {$(
        #[test]
        fn $test() {
            Verb { line: $line, stage: $stage, after: $after, is_undone: $is_undone }.walk();
        }
    )*};
}

verbs! {
    bridge_create: "bridge create xenbr1 --address 10.98.97.1/24 --mtu 1400", bridge, &[], true;
    bridge_delete: "bridge delete xenbr1", bridge,
        &["bridge create xenbr1 --address 10.98.97.1/24", "bridge enslave xenbr1 vif1.0"], true;
    bridge_enslave: "bridge enslave xenbr0 vif1.0", bridge, &[], true;
    bridge_release: "bridge release vif1.0", || Stage::lying(true), &[], true;
    vif_attach: "vif attach vif1.0 --bridge xenbr0 --mac 00:16:3e:00:00:01 --ip 10.98.98.2", || Stage::lying(false), &[],
        true;
    vif_attach_routed: "vif attach vif1.0 --route --mac 00:16:3e:00:00:01 --ip 10.98.98.2 --accounted", bridge, &[], true;
    vif_detach: "vif detach vif1.0", || Stage::lying(true), &[], true;
    antispoof_set: "antispoof set vif1.0 --mac 00:16:3e:00:00:01 --ip 10.98.98.2 --ip 10.98.97.0/24",
        || Stage::lying(true), &[], true;
    antispoof_clear: "antispoof clear vif2.0", || Stage::lying(false), &[], true;
    masquerade_add: "masquerade add 10.98.98.0/24", bridge, &[], true;
    masquerade_remove: "masquerade remove 10.98.98.0/24", bridge, &["masquerade add 10.98.98.0/24"], true;
    forward_add: "forward add tcp:8080 10.98.98.2:80", bridge, &[], true;
    forward_remove: "forward remove tcp:8080", bridge, &["forward add tcp:8080 10.98.98.2:80"], true;
    dom0_set: "dom0 set xenbr0 services(dhcp,dns)", bridge, &[], true;
    accounting_forget: "accounting forget vif1.0", bridge,
        &["vif attach vif1.0 --route --mac 00:16:3e:00:00:01 --ip 10.98.98.2 --accounted"], true;
    network_start: "network start network-virtual --wait 0", bridge_elsewhere, &[], true;
    apply_file: concat!("apply ", env!("CARGO_MANIFEST_DIR"), "/tests/call/operations.json"), bridge, &[], true;
    verify_repair: "verify --repair", bridge,
        &["vif attach vif1.0 --bridge xenbr0 --mac 00:16:3e:00:00:01 --ip 10.98.98.2", "nft flush chain bridge xenvnet locked"],
        false;
    undo: "undo", || Stage::lying(false),
        &["vif attach vif1.0 --bridge xenbr0 --mac 00:16:3e:00:00:01 --ip 10.98.98.2"], false;
}

/// Dom0's ends of cables get an address by chance; one host is compared with the next here.
fn always_the_same(links: &[&str]) {
    for (n, link) in links.iter().enumerate() {
        ip(&format!("link set {link} address 02:00:00:00:01:0{n}"));
    }
}

/// A bridge by itself, and a guest that says nothing.
fn bridge() -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    ip("link add xenbr0 address 2e:00:00:00:00:fe type bridge mcast_snooping 0 forward_delay 0");
    ip("link set xenbr0 addrgenmode none up");
    ip("addr add 10.98.98.1/24 dev xenbr0");
    let guest = FakeVif::new("vif1.0", &Liar::MAC.to_string());
    always_the_same(&["vif1.0"]);
    Stage::of(dom0, guest)
}

/// Nothing of what a network makes.
fn bridge_elsewhere() -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    ip("link add br0 address 2e:00:00:00:00:fe type bridge");
    Stage::of(dom0, ())
}
