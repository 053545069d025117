//! What was asked for: kept beside the kernel, so that what others took away there can be told from
//! what never was, and brought back.
//!
//! A file of lines, each with its checksum: the steps of one change that say what is to stand. What
//! stands is found by taking them one after the other.

use crate::contents::Contents;
use crate::ifname::IfName;
use crate::link::PortState;
use crate::plan::{Plan, Step};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// What stands, as far as it was asked for through this state directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) contents: Contents,
    /// Ports of bridges, with the flags that they were given.
    pub(crate) ports: BTreeMap<IfName, (IfName, PortState)>,
}

impl Asked {
    /// Takes a step; `false` where it says nothing of what is to stand.
    fn take(&mut self, step: &Step) -> bool {
        match step {
            Step::Enslave { port, bridge, state, .. } => drop(self.ports.insert(*port, (*bridge, *state))),
            Step::Release { port, .. } => drop(self.ports.remove(port)),
            Step::SetPort { port, to, .. } => {
                if let Some((_, state)) = self.ports.get_mut(port) {
                    *state = *to;
                }
            }
            Step::Rename { from, to, .. } => {
                if let Some(port) = self.ports.remove(from) {
                    self.ports.insert(*to, port);
                }
            }
            Step::DeleteBridge { bridge, .. } => self.ports.retain(|_, (master, _)| master != bridge),
            step => return self.contents.take(step),
        }
        true
    }

    /// The steps that say all of it.
    fn steps(&self) -> Vec<Step> {
        let ports = self.ports.iter().map(|(port, (bridge, state))| Step::Enslave {
            port: *port,
            bridge: *bridge,
            state: *state,
            macs: Vec::new(),
            pinning: Default::default(),
        });
        let contents = Step::Restore { contents: Box::new(self.contents.clone()) };
        std::iter::once(contents).chain(ports).collect()
    }
}

/// The file. Its first line tells the boot and the namespace that it is of: interfaces are known by their
/// numbers, which the next one gives to others.
#[derive(Debug)]
pub(crate) struct AskedFile {
    file: File,
    head: String,
    /// How much is in it, as far as is known here, beyond what it has to be.
    added: usize,
}

pub(crate) const NAME: &str = "asked";
/// What takes its place when it has grown long.
pub(crate) const NEW_NAME: &str = "asked.new";

/// Beyond this it is written anew, shorter.
const LONG: usize = 256 * 1024;

impl AskedFile {
    /// Opened to be appended to and read. What is of another boot or namespace is forgotten.
    pub(crate) fn open(file: File, epoch: &str) -> io::Result<AskedFile> {
        let mut asked = AskedFile { file, head: format!("boot {epoch}"), added: 0 };
        let text = asked.text()?;
        asked.added = text.len();
        if text.split(|octet| *octet == b'\n').next() != Some(asked.head.as_bytes()) {
            asked.forget()?;
        }
        Ok(asked)
    }

    fn text(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut text)?;
        Ok(text)
    }

    /// Adds what a change brought about; nothing for one that is about something else.
    pub(crate) fn append(&mut self, plan: &Plan) -> io::Result<()> {
        let mut nobody = Asked::default();
        let steps: Vec<&Step> = plan.steps().iter().filter(|step| nobody.take(step)).collect();
        if steps.is_empty() {
            return Ok(());
        }
        let line = line(&steps)?;
        self.added += line.len();
        let written = self.file.write_all(&line);
        if written.is_err() {
            // Better nothing is remembered than what is not so any more: a guest that was detached would be
            // locked again. What stands is noted anew by the next look.
            self.forget()?;
        }
        written
    }

    /// Remembers nothing.
    fn forget(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(self.head.as_bytes())
    }

    /// Everything that was asked for. A line that was cut off counts for nothing, nor do those that
    /// another version wrote and this one cannot read.
    pub(crate) fn read(&mut self) -> io::Result<Asked> {
        let text = self.text()?;
        let mut asked = Asked::default();
        for step in text.split(|octet| *octet == b'\n').filter_map(steps_of).flatten() {
            asked.take(&step);
        }
        Ok(asked)
    }

    /// The same, shorter, where it has grown long.
    pub(crate) fn shortened(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.added <= LONG {
            return Ok(None);
        }
        self.added = 0;
        let length = self.text()?.len();
        if length <= LONG {
            return Ok(None);
        }
        let mut text = self.head.clone().into_bytes();
        for step in self.read()?.steps() {
            text.extend(line(&[&step])?);
        }
        Ok(Some(text).filter(|text| text.len() < length / 2))
    }
}

fn line(steps: &[&Step]) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(steps)?;
    // Begun anew after a line that may have been cut off.
    Ok(format!("\n{:08x} {json}", crate::mac::crc32(json.as_bytes())).into_bytes())
}

fn steps_of(line: &[u8]) -> Option<Vec<Step>> {
    let (sum, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let sound = u32::from_str_radix(sum, 16) == Ok(crate::mac::crc32(json.as_bytes()));
    sound.then(|| serde_json::from_str(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;
    use crate::{Guard, Lock};

    fn open(path: &std::path::Path) -> AskedFile {
        AskedFile::open(File::options().append(true).read(true).create(true).open(path).unwrap(), "1/2").unwrap()
    }

    fn file(name: &str) -> (std::path::PathBuf, AskedFile) {
        let path = std::env::temp_dir().join(format!("xenvnet-asked-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let file = open(&path);
        (path, file)
    }

    fn guard(vif: &str, device: u32) -> Step {
        let to = Some(Guard::new(device, Lock::Disabled));
        Step::SetGuard { table: Table::Bridge, vif: vif.parse().unwrap(), from: None, to }
    }

    #[test]
    fn what_was_asked_is_read_back_also_after_a_line_was_cut_off() {
        let (path, mut file) = file("cut");
        file.append(&Plan::from_iter([guard("vif1.0", 3), Step::Up { link: "vif1.0".parse().unwrap() }])).unwrap();
        file.append(&Plan::from_iter([Step::Up { link: "vif1.0".parse().unwrap() }])).unwrap();
        let asked = file.read().unwrap();
        assert_eq!(asked.contents.guards.len(), 1);
        let length = file.text().unwrap().len();
        file.append(&Plan::from_iter([guard("vif2.0", 4)])).unwrap();
        assert_eq!(file.read().unwrap().contents.guards.len(), 2);
        file.file.set_len(length as u64 + 30).unwrap();
        assert_eq!(file.read().unwrap(), asked);
        // The next one is not lost with it.
        file.append(&Plan::from_iter([guard("vif3.0", 5)])).unwrap();
        assert_eq!(open(&path).read().unwrap().contents.guards.len(), 2);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_was_asked_before_the_last_boot_is_forgotten() {
        let (path, mut file) = file("boot");
        file.append(&Plan::from_iter([guard("vif1.0", 3)])).unwrap();
        let text = String::from_utf8(file.text().unwrap()).unwrap().replacen("boot ", "boot 0", 1);
        std::fs::write(&path, text).unwrap();
        assert_eq!(open(&path).read().unwrap(), Asked::default());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_long_file_is_shortened_and_says_the_same() {
        let (path, mut file) = file("long");
        assert_eq!(file.shortened().unwrap(), None);
        for n in 0..3000 {
            file.append(&Plan::from_iter([guard(&format!("vif{}.0", n % 7), n)])).unwrap();
        }
        let text = file.shortened().unwrap().unwrap();
        assert!(text.len() < 2000, "{}", text.len());
        let before = file.read().unwrap();
        std::fs::write(&path, text).unwrap();
        assert_eq!(open(&path).read().unwrap(), before);
        std::fs::remove_file(path).unwrap();
    }
}
