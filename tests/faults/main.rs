//! Whatever goes wrong between the library and the kernel, at whatever message of whatever operation: the
//! host is as before or as wanted, and no vif was up without its lock.
//!
//! Prints a table of the points that were tried and that were right, and fails unless all were. Tries some
//! points of each scene, or all with `XENVNET_EVERY_POINT`.
#![forbid(unsafe_code)]

mod scenes;
mod stage;
mod walk;

use stage::Scene;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use walk::Row;
use xenvnet_core::Operation;

/// How many points of a scene are tried where not all are, so that all of it takes a minute. Most are left
/// out, of each way to go wrong; each scene is begun, ended and lied in all the same.
const SOME: usize = 5;

fn main() -> ExitCode {
    let chosen = chosen();
    let at_most = if std::env::var_os("XENVNET_EVERY_POINT").is_some() { usize::MAX } else { SOME };
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(scene) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(row) = tried(scene, at_most) else { continue };
            print(&row);
            rows.lock().expect("nobody panics with it").push(row);
        }
    };
    thread::scope(|scope| {
        (0..thread::available_parallelism().map_or(1, usize::from)).for_each(|_| drop(scope.spawn(work)))
    });
    let rows = rows.into_inner().expect("nobody panics with it");
    let (tried, wrong): (usize, usize) = rows.iter().fold((0, 0), |(t, w), row| (t + row.tried, w + row.wrong.len()));
    let lies: u64 = rows.iter().filter_map(|row| row.lies).sum();
    println!("{:44} {tried:>7} {:>7}  {lies} lies, none heard", "all operations", tried - wrong.min(tried));
    let verbs: BTreeSet<_> = rows.iter().flat_map(|row| &row.verbs).collect();
    let forgotten: Vec<_> = Operation::VERBS.iter().filter(|verb| !verbs.contains(verb)).collect();
    let is_whole = chosen.len() < scenes::all().len() || rows.is_empty() || forgotten.is_empty();
    if !is_whole {
        println!("never tried: {forgotten:?}");
    }
    if wrong == 0 && is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A scene that cannot even be built is wrong as well.
fn tried(scene: &Scene, at_most: usize) -> Option<Row> {
    catch_unwind(AssertUnwindSafe(|| walk::walk(scene, at_most))).unwrap_or_else(|_| {
        let wrong = vec!["it could not be tried to its end".to_owned()];
        Some(Row { scene: scene.name, tried: 1, wrong, lies: None, verbs: Vec::new() })
    })
}

fn print(row: &Row) {
    let right = row.tried.saturating_sub(row.wrong.len());
    let lies = row.lies.map_or(String::new(), |lies| format!("  {lies} lies, none heard"));
    println!("{:44} {:>7} {right:>7}{lies}", row.scene, row.tried);
    row.wrong.iter().for_each(|why| println!("  wrong: {}", why.replace('\n', "\n    ")));
}

/// Those whose names contain one of the words, and none that follows a `--skip`.
fn chosen() -> Vec<Scene> {
    let (mut words, mut skipped) = (Vec::new(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--skip" => skipped.extend(arguments.next()),
            other if other.starts_with('-') => {}
            _ => words.push(argument),
        }
    }
    let has = |scene: &Scene, words: &[String]| words.iter().any(|word| scene.name.contains(word.as_str()));
    let all = scenes::all().into_iter();
    all.filter(|scene| (words.is_empty() || has(scene, &words)) && !has(scene, &skipped)).collect()
}
