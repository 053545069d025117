//! What is read back from the state directory: the first line is what a journal says was changed, the
//! others what was asked for, as JSON; what follows a zero is the tape of what the kernel answers then.

use crate::asks::Ask;
use crate::tape::Tape;
use crate::{is_tame, stage};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use xenvnet_core::Host;

struct Stage {
    tape: Tape,
    host: Host,
    /// Of this host in the state directory.
    folder: PathBuf,
    /// What the library calls the boot and the namespace; in the input they are called BOOT.
    boot: String,
}

static STAGE: OnceLock<Stage> = OnceLock::new();

fn open() -> Stage {
    let base = std::env::temp_dir().join(format!("xenvnet-fuzz-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&base).expect("a directory of our own");
    let tape = Tape::default();
    let player = tape.clone();
    let host = Host::options().state_dir(base).transport(move |protocol| player.play(protocol)).open().expect("a host");
    let within = host.state_folder("mine").expect("a folder in the host's");
    let folder = within.parent().expect("the host's").to_owned();
    let asked = fs::read_to_string(folder.join("asked")).expect("it is made when the host is opened");
    let boot = asked.lines().next().and_then(|line| line.strip_prefix("boot ")).expect("a first line").to_owned();
    Stage { tape, host, folder, boot }
}

/// Before the first run.
pub fn begin() {
    stage::set();
    STAGE.get_or_init(open);
}

/// One run.
pub fn run(octets: &[u8]) {
    let Stage { tape, host, folder, boot } = STAGE.get_or_init(open);
    let mut halves = octets.splitn(2, |octet| *octet == 0);
    let text = String::from_utf8_lossy(halves.next().unwrap_or_default()).replace("BOOT", boot);
    let (journal, asked) = text.split_once('\n').unwrap_or((&text, ""));
    fs::write(folder.join("journal-1-0"), record(journal)).expect("the folder can be written");
    let lines = asked.lines().map(|line| format!("{:08x} {line}\n", crc32(line.as_bytes())));
    let asked: String = [format!("boot {boot}\n")].into_iter().chain(lines).collect();
    fs::write(folder.join("asked"), asked).expect("the folder can be written");
    tape.wind(halves.next().unwrap_or_default());
    if let Err(error) = host.plan_undo() {
        is_tame(&error);
    }
    if let Ok(sentinel) = host.sentinel() {
        let _ = sentinel.look();
    }
    Ask::Verify.put_to(host);
}

/// A journal as it is on disk: state, length, checksum, record. One whose checksum is wrong is passed
/// over as a whole, so only its first octet is taken as it comes.
fn record(text: &str) -> Vec<u8> {
    let state = text.chars().next().filter(char::is_ascii);
    let record = text.get(1..).filter(|_| state.is_some()).unwrap_or_default();
    let mut octets = vec![state.map_or(b'A', |c| c as u8), 0, 0, 0];
    octets.extend_from_slice(&(record.len() as u64).to_le_bytes());
    octets.extend_from_slice(&crc32(record.as_bytes()).to_le_bytes());
    octets.extend_from_slice(record.as_bytes());
    octets
}

/// CRC-32 as in IEEE 802.3.
fn crc32(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0, |sum, octet| {
        (0..8).fold(sum ^ u32::from(*octet), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
