//! The file that keeps over a reboot what a host is to be like.

use crate::error::{Error, ErrorKind, Result};
use crate::operation::Operation;
use crate::state::{self, DIRECTORY, check, refused};
use crate::text::from_json;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, renameat};
use nix::sys::stat::Mode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Raised when an older reader would misunderstand it.
const VERSION: u64 = 1;

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    operations: &'a [Operation],
}

#[derive(Deserialize)]
struct Head {
    version: u64,
}

#[derive(Deserialize)]
struct Body {
    operations: Vec<Operation>,
}

/// A file by its name. Symbolic links are refused: it may be read and written as root.
pub(crate) struct SavedFile<'a>(&'a Path);

impl fmt::Display for SavedFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl SavedFile<'_> {
    pub(crate) fn of(path: &Path) -> SavedFile<'_> {
        SavedFile(path)
    }

    pub(crate) fn write(&self, operations: &[Operation]) -> Result<()> {
        let failed = |why: String| {
            Error::cannot(ErrorKind::State, format!("save {self}"), why)
                .with_advice("name a file in a folder of your own that nobody else may write")
        };
        let name = self.name().map_err(failed)?;
        let text = serde_json::to_vec_pretty(&Written { version: VERSION, operations });
        let mut text = text.map_err(|error| failed(error.to_string()))?;
        text.push(b'\n');
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.folder())
            .map_err(|error| failed(format!("{}: {error}", self.folder().display())))?;
        let folder = self.open_folder().map_err(|why| failed(why.to_string()))?;
        replace(&folder, name, &text).map_err(|error| failed(error.to_string()))
    }

    pub(crate) fn read(&self) -> Result<Vec<Operation>> {
        let what = || format!("restore {self}");
        let untrusted = |why: String| {
            Error::cannot(ErrorKind::State, what(), why)
                .with_advice("look who wrote it, and save it anew: xenvnet save")
        };
        let name = self.name().map_err(untrusted)?;
        let missing = || {
            Error::cannot(ErrorKind::NotFound, what(), "there is no such file")
                .with_advice("write it while the networks run: xenvnet save")
        };
        let folder = match self.open_folder() {
            Err(Refused::Missing) => return Err(missing()),
            folder => folder.map_err(|why| untrusted(why.to_string()))?,
        };
        let mut file = match state::file(&folder, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Err(Errno::ENOENT) => return Err(missing()),
            file => file.map_err(|errno| untrusted(refused(errno)))?,
        };
        check(&file).map_err(untrusted)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| untrusted(error.to_string()))?;
        let anew = |error: Error| error.doing(what()).with_advice("save it anew while the networks run: xenvnet save");
        if serde_json::from_str::<IgnoredAny>(&text).is_err_and(|error| error.is_eof()) {
            return Err(anew(Error::invalid(ErrorKind::Parse, "it was cut off")));
        }
        let head: Head = from_json(&text, "what was saved").map_err(anew)?;
        if head.version > VERSION {
            let why = format!("it is of version {}, and this xenvnet reads {VERSION}", head.version);
            return Err(Error::cannot(ErrorKind::Unsupported, what(), why)
                .with_advice("use the xenvnet that wrote it, or save it anew with this one"));
        }
        let body: Body = from_json(&text, "what was saved").map_err(anew)?;
        Ok(body.operations)
    }

    fn name(&self) -> std::result::Result<&str, String> {
        let name = self.0.file_name().and_then(OsStr::to_str);
        name.ok_or_else(|| "it names no file".to_owned())
    }

    fn folder(&self) -> &Path {
        self.0.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
    }

    fn open_folder(&self) -> std::result::Result<File, Refused> {
        let told = |why: String| Refused::Because(format!("{}: {why}", self.folder().display()));
        let folder = match open(self.folder(), DIRECTORY, Mode::empty()) {
            Err(Errno::ENOENT) => return Err(Refused::Missing),
            folder => File::from(folder.map_err(|errno| told(refused(errno)))?),
        };
        check(&folder).map_err(told)?;
        Ok(folder)
    }
}

enum Refused {
    Missing,
    Because(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Missing => f.write_str("there is no such folder"),
            Refused::Because(why) => f.write_str(why),
        }
    }
}

/// Puts a file in the place of another, whole or not at all, also when the power fails.
fn replace(folder: &File, name: &str, text: &[u8]) -> io::Result<()> {
    // One writer at a time: they share the name of what is not done yet.
    let folder = Flock::lock(folder.try_clone()?, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let new = format!("{name}.new");
    let mut file = state::file(&*folder, &new, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC)?;
    file.write_all(text)?;
    file.sync_all()?;
    renameat(&*folder, new.as_str(), &*folder, name)?;
    folder.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("xenvnet-saved-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Folder(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("saved.json")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn operations() -> Vec<Operation> {
        vec![Operation::StartNetwork("network-virtual bridgeip=10.98.98.1/24".parse().unwrap())]
    }

    fn refused(path: &Path) -> (ErrorKind, String) {
        let error = SavedFile::of(path).read().unwrap_err();
        assert!(error.advice().is_some(), "{error}");
        (error.kind(), error.to_string())
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = Folder::new("sound");
        let path = folder.file();
        for written in [operations(), Vec::new(), operations()] {
            SavedFile::of(&path).write(&written).unwrap();
            assert_eq!(SavedFile::of(&path).read().unwrap(), written);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(&folder.0).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words() {
        let folder = Folder::new("unsound");
        let path = folder.file();
        assert_eq!(refused(&path).0, ErrorKind::NotFound);
        SavedFile::of(&path).write(&operations()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for length in 0..text.trim_end().len() {
            fs::write(&path, &text[..length]).unwrap();
            let (kind, words) = refused(&path);
            assert!(kind == ErrorKind::Parse && words.ends_with("it was cut off"), "{length}: {words}");
        }
        fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        assert_eq!(refused(&path).0, ErrorKind::Unsupported);
        fs::write(&path, text.replace("start_network", "bring_about")).unwrap();
        assert!(refused(&path).1.contains("unknown variant `bring_about`"));
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        let (kind, words) = refused(&path);
        assert!(kind == ErrorKind::State && words.ends_with("others may write it (mode 622)"), "{words}");
        fs::remove_file(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        assert_eq!(refused(&path).0, ErrorKind::State);
        fs::remove_file(&path).unwrap();
        assert_eq!(refused(&path).0, ErrorKind::NotFound);
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(refused(&path).0, ErrorKind::State);
        assert_eq!(SavedFile::of(&path).write(&operations()).unwrap_err().kind(), ErrorKind::State);
        assert_eq!(refused(Path::new("/")).0, ErrorKind::State);
    }
}
