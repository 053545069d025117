//! Each way to go wrong at each message of a deed, and what the host is like afterwards.

use crate::scenes;
use crate::stage::{Deed, Scene, Stage};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use xenvnet_core::transport::{Fault, FaultKind, Faults, Place};
use xenvnet_core::{Error, ErrorKind, Host, Operation, Outcome, Result};
use xenvnet_tests::{Image, Liar, Witness};

// errno(3)
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EINTR: i32 = 4;
const ENOMEM: i32 = 12;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const ENOBUFS: i32 = 105;

/// What goes wrong once.
const ONCE: [FaultKind; 17] = [
    FaultKind::Refused(EINTR),
    FaultKind::Refused(ENOBUFS),
    FaultKind::Refused(EBUSY),
    FaultKind::Refused(EEXIST),
    FaultKind::Refused(ENOENT),
    FaultKind::Refused(ENOMEM),
    FaultKind::Refused(EPERM),
    FaultKind::Lost(EINTR),
    FaultKind::Lost(ENOBUFS),
    FaultKind::Unanswered,
    FaultKind::Late,
    FaultKind::Cut(Place::Header),
    FaultKind::Cut(Place::Body),
    FaultKind::Cut(Place::Attribute),
    FaultKind::Interrupted,
    FaultKind::StrangerBefore,
    FaultKind::StrangerInstead,
];

/// What goes wrong from then on: nothing can be put back before it ends.
const FOR_GOOD: [FaultKind; 5] = [
    FaultKind::Refused(EBUSY),
    FaultKind::Lost(ENOBUFS),
    FaultKind::Unanswered,
    FaultKind::Cut(Place::Header),
    FaultKind::Interrupted,
];

/// What became of a scene.
pub(crate) struct Row {
    pub(crate) scene: &'static str,
    pub(crate) tried: usize,
    /// The points that were wrong, in words.
    pub(crate) wrong: Vec<String>,
    /// How many lies were told meanwhile, none of which was heard.
    pub(crate) lies: Option<u64>,
    /// The operations that it is about.
    pub(crate) verbs: Vec<&'static str>,
}

/// Whether an `undo` of networks that breaks off, and does not come back either, can be ended: it starts
/// or stops them anew, and does not write down what it does.
const UNDO_IS_WRITTEN_DOWN: bool = true;

/// After so many wrong points the rest says nothing new.
const ENOUGH: usize = 8;

/// Tries so many points of a scene, of all of them as far apart as they can be. `None` where this machine
/// does not allow it.
pub(crate) fn walk(scene: &Scene, at_most: usize) -> Option<Row> {
    let mut trial = Trial::begin((scene.stage)()?);
    let operations = trial.stage.deed.operations();
    let is_told = |operation| scenes::tried_in(operation).iter().any(|name| scene.name.starts_with(name));
    assert!(operations.iter().all(is_told), "{} is about {operations:?}", scene.name);
    let verbs = operations.iter().map(Operation::verb).collect();
    let mut row = Row { scene: scene.name, tried: 0, wrong: Vec::new(), lies: None, verbs };
    let faults = trial.faults_to_come();
    let apart = faults.len().div_ceil(at_most).max(1);
    // Not the same ones of each scene.
    let first = scene.name.bytes().map(usize::from).sum::<usize>() % apart;
    let mut kind = None;
    for fault in faults.into_iter().skip(first).step_by(apart) {
        let outcome = trial.point(fault);
        row.tried += usize::from(outcome != Ok(Point::Missed));
        if let Err(why) = outcome {
            row.wrong.push(format!("{fault:?}: {why}"));
            if row.wrong.len() == ENOUGH {
                return Some(row);
            }
            // What the host is like now is nothing to go on from.
            drop(trial);
            trial = Trial::begin((scene.stage)()?);
        }
        if kind.replace(fault.kind) != Some(fault.kind)
            && let Some(heard) = trial.stage.liar.as_ref().and_then(Liar::heard)
        {
            row.wrong.push(format!("by {fault:?}: {heard}"));
            return Some(row);
        }
    }
    match trial.control() {
        None => {}
        Some(Ok(lies)) => row.lies = Some(lies),
        Some(Err(why)) => row.wrong.push(why),
    }
    Some(row)
}

/// Whether it came to what was to go wrong: a network finds neighbours to move now and then.
#[derive(Debug, PartialEq, Eq)]
enum Point {
    Tried,
    Missed,
}

/// A stage, and what its host is like before the deed and after it.
struct Trial {
    stage: Stage,
    /// On which things go wrong.
    host: Host,
    faults: Faults,
    before: Image,
    wanted: Image,
    witness: Witness,
    /// How many points there are, by what can be struck.
    points: HashMap<Target, usize>,
}

/// What a way to go wrong can strike.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Messages,
    /// All but those to which this errno is an answer.
    MessagesWithout(i32),
    Answers,
    Dumps,
}

impl Target {
    fn of(kind: FaultKind) -> Target {
        match kind {
            FaultKind::Refused(errno @ (ENOENT | EEXIST)) => Target::MessagesWithout(errno),
            FaultKind::Refused(_) => Target::Messages,
            FaultKind::Interrupted => Target::Dumps,
            _ => Target::Answers,
        }
    }
}

impl Trial {
    fn begin(stage: Stage) -> Trial {
        let plain = &stage.dom0.host;
        stage.deed.begin(plain);
        let before = at_rest();
        let faults = Faults::default();
        let options = Host::options().state_dir(stage.dom0.state.path()).transport(faults.opener());
        let host = options.open().expect("open the host");
        assert_eq!(stage.deed.carry_out(&host).expect("nothing goes wrong yet"), Outcome::Changed);
        let wanted = at_rest();
        assert!(!wanted.difference(&before).is_empty(), "it changes nothing");
        stage.deed.back(plain);
        let trial = Trial { stage, host, faults, before, wanted, witness: Witness::start(), points: HashMap::new() };
        trial.is(&trial.before).expect("it leads back");
        trial
    }

    /// All that can go wrong, way by way.
    fn faults_to_come(&mut self) -> Vec<Fault> {
        let can_last = UNDO_IS_WRITTEN_DOWN || !self.stage.deed.undoes_networks();
        let once = ONCE.map(|kind| (kind, false));
        let for_good = FOR_GOOD.map(|kind| (kind, true)).into_iter().filter(|_| can_last);
        let mut faults = Vec::new();
        for (kind, lasts) in once.into_iter().chain(for_good) {
            faults.extend((0..self.points(kind)).map(|after| Fault { kind, after, lasts }));
        }
        faults
    }

    /// How often something could go wrong in this way.
    fn points(&mut self, kind: FaultKind) -> usize {
        let target = Target::of(kind);
        if let Some(points) = self.points.get(&target) {
            return *points;
        }
        self.faults.plan(Fault { kind, after: usize::MAX, lasts: false });
        self.stage.deed.carry_out(&self.host).expect("nothing goes wrong yet").is_changed();
        let points = self.faults.passed();
        self.faults.end();
        self.stage.deed.back(&self.stage.dom0.host);
        self.points.insert(target, points);
        points
    }

    /// Lets one thing go wrong, and looks. In the end the host is as before, unless it is wrong.
    fn point(&mut self, fault: Fault) -> std::result::Result<Point, String> {
        self.witness.nothing_since();
        self.faults.plan(fault);
        let result = catch_unwind(AssertUnwindSafe(|| self.stage.deed.carry_out(&self.host)));
        let point = if self.faults.end() { Point::Tried } else { Point::Missed };
        self.judge(result.map_err(|_| "it panicked".to_owned())?)?;
        match self.stage.liar.as_ref().map(Liar::taught) {
            Some(macs) if !macs.is_empty() => Err(format!("a bridge learned {macs:?}")),
            _ => Ok(point),
        }
    }

    fn judge(&mut self, result: Result<Outcome>) -> std::result::Result<(), String> {
        let (deed, plain) = (&self.stage.deed, &self.stage.dom0.host);
        let wrong = |error: &Error, why: String| format!("{why}\nafter: {error}");
        match result {
            Ok(Outcome::Changed) => {
                self.is(&self.wanted)?;
                deed.back(plain);
                self.is(&self.before)
            }
            Ok(Outcome::Unchanged) => Err("it says that there was nothing to do".to_owned()),
            Err(error) if !error.to_string().starts_with("cannot ") => Err(format!("what does this mean: {error}")),
            Err(_) if self.witness.nothing_since() && self.before.has_settings_of_now() => Ok(()),
            Err(error) if error.kind() == ErrorKind::Undo => self.is_finished().map_err(|why| wrong(&error, why)),
            Err(_) if matches!(deed, Deed::Repair(_)) => self.is_mended(),
            Err(error) => self.is(&self.before).map_err(|why| wrong(&error, why)),
        }
    }

    /// What was left in between, the next `undo` brings to an end: the beginning, or where the deed itself
    /// was to undo something, its own.
    fn is_finished(&self) -> std::result::Result<(), String> {
        let (deed, plain) = (&self.stage.deed, &self.stage.dom0.host);
        plain.undo().map_err(|error| format!("and then: {error}"))?.is_changed();
        if let Deed::Undo(_) = deed {
            self.is(&self.wanted)?;
            deed.back(plain);
        }
        self.is(&self.before)
    }

    /// What was mended in part stays so, and the next repair ends it.
    fn is_mended(&self) -> std::result::Result<(), String> {
        let (deed, plain) = (&self.stage.deed, &self.stage.dom0.host);
        deed.carry_out(plain).map_err(|error| format!("and then: {error}"))?.is_changed();
        self.is(&self.wanted)?;
        deed.back(plain);
        self.is(&self.before)
    }

    /// What the kernel does by itself, it does in its own time.
    fn is(&self, image: &Image) -> std::result::Result<(), String> {
        let differs = || Image::take().difference(image);
        let mut difference = differs();
        for _ in 0..20 {
            if difference.is_empty() {
                return Ok(());
            }
            difference = differs();
        }
        Err(format!("the host differs:\n{difference}"))
    }

    /// That who listens would have heard.
    fn control(mut self) -> Option<std::result::Result<u64, String>> {
        let liar = self.stage.liar.take()?;
        let host = &self.stage.dom0.host;
        if let Some(heard) = liar.heard() {
            return Some(Err(heard));
        }
        if !liar.is_attached() {
            self.stage.deed.carry_out(host).expect("it is attached").is_changed();
        }
        Some(liar.proves_that_lies_are_heard(host))
    }
}

/// The host as soon as it changes no more.
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
