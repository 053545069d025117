//! `xenvnet dhcp`: serves the guests of one network as long as it runs.

use crate::dnsmasq::{self, Folder};
use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::{leash, output};
use clap::Args;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use xenvnet_core::{DhcpService, Error, ErrorKind, Host, Network, NetworkId, Snapshot};

/// A server that died is started again after this, after twice as long the next time, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// One that lived so long was well: what ends it is new.
const WELL: Duration = Duration::from_secs(60);
/// One that has not ended by itself after this is killed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Changes come in swarms: they are gathered so long.
const GATHERED: Duration = Duration::from_millis(50);
/// Nothing is missed by it: a wait is begun again.
const LONG: Duration = Duration::from_secs(3600);

#[derive(Args, Debug)]
pub(crate) struct Dhcp {
    /// What `xenvnet network status` calls it (xenbr0, nat:eth0), or the line that it was started by.
    #[arg(value_name = "NETWORK|LINE", value_parser = crate::cli::value::<Which>)]
    network: Which,
    /// A name server that guests are told; more than one if repeated.
    #[arg(long, value_name = "IPV4")]
    dns: Vec<Ipv4Addr>,
}

/// A network, as people name it.
#[derive(Clone, Debug)]
enum Which {
    Id(NetworkId),
    Line(Network),
}

impl FromStr for Which {
    type Err = Error;

    fn from_str(text: &str) -> xenvnet_core::Result<Which> {
        match text.parse::<Network>() {
            Ok(line) => Ok(Which::Line(line)),
            // A mistake in a line is to be told, and not taken for a name.
            Err(error) if text.contains([' ', '=']) => Err(error),
            Err(_) => text.parse().map(Which::Id),
        }
    }
}

impl Which {
    /// What it is known by, if it runs or its line says so itself.
    fn id(&self, now: &Snapshot) -> Option<NetworkId> {
        match self {
            Which::Id(id) => Some(*id),
            Which::Line(line) => {
                let ids = line.ids(now);
                ids.iter().find(|id| now.networks.contains_key(id)).or(ids.first()).copied()
            }
        }
    }
}

/// What ends a wait.
enum Event {
    /// Something of the host's network changed.
    Changed,
    /// A child of ours ended.
    Child,
    /// Changes cannot be heard any more.
    Failed(Error),
    /// We are to end.
    End,
}

impl Event {
    /// What says more; changes are looked for after each of them.
    fn rank(&self) -> u8 {
        match self {
            Event::Changed => 0,
            Event::Child => 1,
            Event::Failed(_) => 2,
            Event::End => 3,
        }
    }
}

impl Dhcp {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        let host = session.host()?;
        if session.dry_run() {
            return self.preview(&host, session);
        }
        let program = dnsmasq::find().ok_or_else(|| {
            Failure::cannot("serve DHCP", "dnsmasq is not installed").advice("install it: apt-get install dnsmasq-base")
        })?;
        let netns = session.netns()?;
        let events = events(&host)?;
        let mut server = Server { program: &program, netns: netns.as_ref(), dns: &self.dns, serving: None };
        let (mut told, mut is_first) = (None, true);
        loop {
            let now = host.snapshot()?;
            let service = self.network.id(&now).map(|id| DhcpService::of(&now, id));
            let service = match service {
                Some(Ok(service)) => Some(service),
                // What does not run yet may come; what runs without DHCP is a mistake, unless it came to
                // be so while we served it.
                Some(Err(error)) if is_first && error.kind() != ErrorKind::NotFound => return Err(error.into()),
                Some(Err(_)) | None => None,
            };
            server.follow(service.as_ref(), &host)?;
            if is_first || told != service {
                tell(session, told.as_ref(), service.as_ref())?;
                told = service;
            }
            is_first = false;
            match wait(&events, server.due())? {
                Event::End => return Ok(Exit::Done),
                Event::Child => server.look()?,
                Event::Changed | Event::Failed(_) => {}
            }
        }
    }

    fn preview(&self, host: &Host, session: &Session) -> Result<Exit> {
        let now = host.snapshot()?;
        let service = self.network.id(&now).map(|id| DhcpService::of(&now, id)).transpose()?;
        tell(session, None, service.as_ref())
    }
}

/// Hears of the host and of signals. Signals of this kind reach nobody else from now on.
fn events(host: &Host) -> Result<Receiver<Event>> {
    let (heard, events) = channel();
    let mut signals = SigSet::empty();
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD].iter().for_each(|signal| signals.add(*signal));
    // Before any thread: they inherit it.
    signals.thread_block().map_err(|errno| Failure::cannot("wait for signals", errno.desc()))?;
    let watch = host.watch()?;
    let changes: Sender<Event> = heard.clone();
    std::thread::spawn(move || {
        loop {
            let event = match watch.wait(LONG) {
                Ok(false) => continue,
                Ok(true) => Event::Changed,
                Err(error) => Event::Failed(error),
            };
            let is_last = matches!(event, Event::Failed(_));
            if changes.send(event).is_err() || is_last {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            let event = if signal == Signal::SIGCHLD { Event::Child } else { Event::End };
            if heard.send(event).is_err() {
                return;
            }
        }
    });
    Ok(events)
}

/// The next event that asks for something; many changes are one. At most until `due`.
fn wait(events: &Receiver<Event>, due: Option<Instant>) -> Result<Event> {
    let left = due.map_or(LONG, |due| due.saturating_duration_since(Instant::now()));
    let first = match events.recv_timeout(left) {
        Ok(event) => event,
        Err(RecvTimeoutError::Timeout) => return Ok(Event::Changed),
        Err(RecvTimeoutError::Disconnected) => return Err(Failure::cannot("wait", "nobody tells of changes")),
    };
    if matches!(first, Event::Changed) {
        std::thread::sleep(GATHERED);
    }
    let all = std::iter::once(first).chain(events.try_iter());
    match all.max_by_key(Event::rank) {
        Some(Event::Failed(error)) => Err(error.into()),
        Some(event) => Ok(event),
        None => Ok(Event::Changed),
    }
}

/// What is new, a line each.
fn tell(session: &Session, before: Option<&DhcpService>, now: Option<&DhcpService>) -> Result<Exit> {
    let Some(service) = now else {
        let people = || "no such network runs with dhcp=yes: waiting for it\n".to_owned();
        return output::show(session.json(), || json!({ "dhcp": null }), people);
    };
    let people = || {
        let before = before.filter(|before| before.network == service.network);
        let mut lines = Vec::new();
        if before.is_none() {
            lines.push(format!("serving DHCP to the guests of {}", service.network));
        }
        let had = |vif| before.and_then(|before| before.guests.get(vif));
        for vif in before.iter().flat_map(|before| before.guests.keys()) {
            if !service.guests.contains_key(vif) {
                lines.push(format!("- {vif}"));
            }
        }
        for (vif, guest) in service.guests.iter().filter(|(vif, guest)| had(vif) != Some(guest)) {
            let macs: Vec<_> = guest.macs.iter().map(ToString::to_string).collect();
            lines.push(format!("+ {vif}: {} for {}, by {}", guest.address, macs.join(", "), guest.router));
        }
        let was_silent = |vif| before.and_then(|before| before.silent.get(vif));
        for (vif, why) in service.silent.iter().filter(|(vif, why)| was_silent(vif) != Some(why)) {
            lines.push(format!("! {vif} is not served: {why}; {}", why.advice(*vif)));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    };
    output::show(session.json(), || json!({ "dhcp": service }), people)
}

/// The server, kept equal to what the host is like.
struct Server<'a> {
    program: &'a Path,
    netns: Option<&'a File>,
    dns: &'a [Ipv4Addr],
    serving: Option<Serving>,
}

/// A network that is served.
struct Serving {
    service: DhcpService,
    folder: Folder,
    interfaces: Vec<String>,
    files: BTreeMap<PathBuf, String>,
    child: Option<(Child, Instant)>,
    /// When it is started again, and how long the next pause will be.
    due: Option<Instant>,
    pause: Duration,
    _lock: Flock<File>,
}

impl Server<'_> {
    /// When it wants to be looked after, without any event.
    fn due(&self) -> Option<Instant> {
        self.serving.as_ref().and_then(|serving| serving.due)
    }

    /// Serves what is wanted by now, and nothing else.
    fn follow(&mut self, wanted: Option<&DhcpService>, host: &Host) -> Result<()> {
        if self.serving.as_ref().is_some_and(|serving| wanted.is_none_or(|new| new.network != serving.service.network))
        {
            self.serving = None;
        }
        let Some(wanted) = wanted else { return Ok(()) };
        let serving = match &mut self.serving {
            Some(serving) => serving,
            none => none.insert(Serving::begin(wanted, host)?),
        };
        serving.follow(wanted, self.program, self.netns, self.dns)
    }

    /// Looks whether it has ended.
    fn look(&mut self) -> Result<()> {
        self.serving.as_mut().map_or(Ok(()), Serving::look)
    }
}

impl Serving {
    fn begin(service: &DhcpService, host: &Host) -> Result<Serving> {
        let what = format!("serve DHCP to {}", service.network);
        let folder = Folder::new(host.state_folder(&format!("dhcp-{}", service.network))?);
        let failed = |error: &io::Error| Failure::system(&what, error);
        let mut options = File::options();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(folder.lock());
        let lock = Flock::lock(lock.map_err(|error| failed(&error))?, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|_| Failure::cannot(&what, "another one serves it"))?;
        // Of an earlier run, which may have been cut off.
        for place in [folder.hosts(), folder.options()] {
            let made = match fs::remove_dir_all(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => fs::DirBuilder::new().mode(0o700).create(&place),
            };
            made.map_err(|error| failed(&error))?;
        }
        Ok(Serving {
            service: service.clone(),
            folder,
            interfaces: dnsmasq::interfaces(service),
            files: BTreeMap::new(),
            child: None,
            due: None,
            pause: FIRST_PAUSE,
            _lock: lock,
        })
    }

    fn follow(&mut self, service: &DhcpService, program: &Path, netns: Option<&File>, dns: &[Ipv4Addr]) -> Result<()> {
        let what = format!("serve DHCP to {}", service.network);
        let failed = |error: &io::Error| Failure::system(&what, error);
        let files = self.folder.files(service);
        // What is new it sees by itself.
        let is_more = self.files.iter().all(|(path, text)| files.get(path) == Some(text));
        let is_heard = service.interfaces.iter().all(|name| dnsmasq::hears(&self.interfaces, *name));
        if !is_more || !is_heard || service.subnets != self.service.subnets {
            self.stop();
        }
        self.service = service.clone();
        self.write(files).map_err(|error| failed(&error))?;
        if self.child.is_some() || self.due.is_some_and(|due| due > Instant::now()) {
            return Ok(());
        }
        self.due = None;
        self.interfaces = dnsmasq::interfaces(service);
        let leases = fs::read_to_string(self.folder.leases()).unwrap_or_default();
        replace(&self.folder, &self.folder.leases(), &dnsmasq::valid_leases(&leases, service))
            .map_err(|error| failed(&error))?;
        let arguments = dnsmasq::arguments(service, &self.interfaces, &self.folder, dns);
        let child = leash::start(program, &arguments, netns).map_err(|error| failed(&error))?;
        self.child = Some((child, Instant::now()));
        Ok(())
    }

    /// Writes what it reads.
    fn write(&mut self, files: BTreeMap<PathBuf, String>) -> io::Result<()> {
        self.files.keys().filter(|path| !files.contains_key(*path)).try_for_each(fs::remove_file)?;
        // Options are told by the time at which their guest is known.
        let is_option = |path: &Path| path.starts_with(self.folder.options());
        let (options, hosts): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| is_option(path));
        for (path, text) in options.into_iter().chain(hosts) {
            if self.files.get(path) != Some(text) {
                replace(&self.folder, path, text)?;
            }
        }
        self.files = files;
        Ok(())
    }

    /// Whether it has ended by itself: then it is started again, later each time.
    fn look(&mut self) -> Result<()> {
        let Some((child, since)) = &mut self.child else { return Ok(()) };
        let ended = child.try_wait().map_err(|error| Failure::system("wait for dnsmasq", &error))?;
        let Some(status) = ended else { return Ok(()) };
        if status.code() == Some(dnsmasq::WRONGLY_CALLED) {
            let error = Failure::cannot("serve DHCP", "dnsmasq does not understand what it is called with");
            return Err(error.advice("see what it says above; version 2.81 and later are known to"));
        }
        if since.elapsed() >= WELL {
            self.pause = FIRST_PAUSE;
        }
        log::warn!("dnsmasq ended ({status}); it is started again in {:?}", self.pause);
        (self.child, self.due) = (None, Some(Instant::now() + self.pause));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    fn stop(&mut self) {
        if let Some((mut child, _)) = self.child.take() {
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
            let end = Instant::now() + PATIENCE;
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Writes a file that is whole or as it was.
fn replace(folder: &Folder, path: &Path, text: &str) -> io::Result<()> {
    fs::write(folder.draft(), text)?;
    fs::rename(folder.draft(), path)
}
