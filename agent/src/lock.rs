//! Exclusive use of a slot, across processes.
//!
//! The shell of a slot knows one command at a time; two processes that talk to it at once get
//! timeouts or each other's answers. So whoever uses a slot's mailbox or BARs holds its lock: a
//! file that is locked with `flock(2)`, which the kernel releases however the holder ends. The
//! file tells who the holder is.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use afi_pcie::{Backoff, Deadline, Ended};
use afi_proto::Bdf;
use nix::fcntl::OFlag;
use nix::unistd::{Group, chown, geteuid};
use serde::{Deserialize, Serialize};

use crate::problem::{Class, Problem, of_io, to_locks};

/// The longest pause between two tries. `flock` can wait, but not with a deadline.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// The group whose members may use the slots.
pub(crate) const GROUP: &str = "fpga";
/// What the owner and the group may do with the directory: all, and files in it are the group's.
const DIRECTORY_MODE: u32 = 0o2770;
/// What they may do with a lock file.
const FILE_MODE: u32 = 0o660;
/// Bytes of a lock file that are read: what a holder writes is far shorter.
const MOST_BYTES: u64 = 4096;

/// The lock on a slot. Dropping it, or the end of the process, releases it.
#[derive(Debug)]
pub struct SlotLock {
    file: File,
    path: PathBuf,
}

/// Who holds a lock, as the holder wrote it into the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// What it is doing: `afi load 0 cl_hello_world`.
    pub command: String,
    /// When it took the lock, in seconds since 1970.
    pub since: u64,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("the slot with management function {mgmt} is locked by {}", by(holder.as_ref()))]
    Held {
        /// The management function of the slot.
        mgmt: Bdf,
        /// Who holds it, where the file tells.
        holder: Option<Holder>,
        /// Why the wait for it ended.
        source: Ended,
    },
    /// The system refused an operation on the lock file.
    #[error("cannot {what} the lock file {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SlotLock {
    /// Takes the lock on the slot with this management function, and waits for it while somebody
    /// else holds it. `command` is what others are told who wait in their turn.
    ///
    /// # Errors
    /// When it is not free before the deadline, or the file cannot be used.
    pub fn acquire(
        directory: &Path,
        mgmt: Bdf,
        command: &str,
        deadline: &Deadline,
    ) -> Result<Self, LockError> {
        let path = directory.join(format!("slot-{mgmt}.lock"));
        let file = open(directory, &path)?;
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(io_error("lock", &path, source)),
            }
            backoff.wait(deadline).map_err(|source| LockError::Held {
                mgmt,
                holder: holder(&path),
                source,
            })?;
        }
        let mut lock = Self { file, path };
        lock.sign(&Holder {
            pid: std::process::id(),
            command: command.to_owned(),
            since: unix_seconds(),
        });
        Ok(lock)
    }

    /// The file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes who holds the lock into the file. It is held even where that does not work, on a
    /// full disk for example; then others only cannot tell by whom.
    fn sign(&mut self, holder: &Holder) {
        let written = serde_json::to_vec(holder)
            .map_err(io::Error::from)
            .and_then(|text| {
                self.file.set_len(0)?;
                self.file.rewind()?;
                self.file.write_all(&text)
            });
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "cannot write who holds the lock");
        }
    }
}

impl Drop for SlotLock {
    /// Empties the file, so that it does not name a holder who is gone. The file stays: removing
    /// it would let two processes lock two files of one name.
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            tracing::warn!(path = %self.path.display(), %error, "cannot empty the lock file");
        }
    }
}

impl Problem for LockError {
    fn class(&self) -> Class {
        match self {
            Self::Held {
                source: Ended::Cancelled,
                ..
            } => Class::Interrupted,
            Self::Held { .. } => Class::Busy,
            Self::Io { source, .. } => of_io(source),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Held { .. } => {
                "wait for it to end, allow more time with --timeout, or end it".to_owned()
            }
            Self::Io { source, path, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                let directory = match path.extension() {
                    Some(_) => path.parent().unwrap_or(path),
                    None => path,
                };
                to_locks(directory, path)
            }
            Self::Io { path, .. } => format!("see that {} can be written", path.display()),
        })
    }
}

/// Opens the lock file, and makes it and its directory where they are not there.
fn open(directory: &Path, path: &Path) -> Result<File, LockError> {
    if !directory.is_dir() {
        make_directory(directory)
            .map_err(|source| io_error("make the directory of", directory, source))?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        // Its contents are replaced: a link could make that somebody else's file.
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
        .map_err(|source| io_error("open", path, source))?;
    // What the umask took from the group of a file that this process has just made.
    if let Err(error) = share(&file) {
        tracing::debug!(path = %path.display(), %error, "cannot share the lock file");
    }
    Ok(file)
}

/// Makes the directory of the locks. Made by root, it is for the group that may use the slots, and
/// hands that group down to the files in it (setgid). The group is all who are let in: who can open
/// a lock can hold it for ever.
fn make_directory(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    if !geteuid().is_root() {
        return Ok(());
    }
    // A lookup that fails is a group that is not there: without /etc/group it ends in ENOENT.
    if let Ok(Some(group)) = Group::from_name(GROUP) {
        chown(directory, None, Some(group.gid))?;
        std::fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))?;
    }
    Ok(())
}

/// Lets the group of a file use it, if it is this process's to decide.
fn share(file: &File) -> io::Result<()> {
    let data = file.metadata()?;
    if data.uid() == geteuid().as_raw() && data.mode() & 0o777 != FILE_MODE {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    }
    Ok(())
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> LockError {
    LockError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Who holds the lock, if the file tells: it is empty for a moment after a lock was taken.
fn holder(path: &Path) -> Option<Holder> {
    let mut text = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn by(holder: Option<&Holder>) -> String {
    let Some(holder) = holder else {
        return "another process".to_owned();
    };
    let ago = unix_seconds().saturating_sub(holder.since);
    format!(
        "process {} ('{}', since {ago} s)",
        holder.pid,
        holder.command.escape_debug()
    )
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Instant;

    const MOMENT: Duration = Duration::from_millis(50);

    fn mgmt() -> Bdf {
        "0000:00:1e.0".parse().unwrap()
    }

    fn acquire(directory: &Path, time: Duration) -> Result<SlotLock, LockError> {
        SlotLock::acquire(directory, mgmt(), "afi test", &Deadline::after(time))
    }

    #[test]
    fn a_held_lock_is_refused_in_time_and_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let held = acquire(directory.path(), MOMENT).unwrap();
        let start = Instant::now();
        let error = acquire(directory.path(), MOMENT).unwrap_err();
        assert!((MOMENT..MOMENT * 10).contains(&start.elapsed()));
        assert_eq!(error.class(), Class::Busy);
        let text = error.to_string();
        let who = format!("process {} ('afi test', since", std::process::id());
        assert!(text.contains(&who), "{text}");
        drop(held);
        assert_eq!(
            std::fs::read(acquire(directory.path(), MOMENT).unwrap().path())
                .unwrap()
                .first(),
            Some(&b'{')
        );
    }

    #[test]
    fn a_lock_file_is_its_groups_whatever_the_umask() {
        let directory = tempfile::tempdir().unwrap();
        let made = directory.path().join("run/lock/afi");
        let path = acquire(&made, MOMENT).unwrap().path().to_owned();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o660);
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        acquire(&made, MOMENT).unwrap();
        assert_eq!(mode(&path), 0o660);
    }

    #[test]
    fn a_lock_does_not_empty_the_file_that_a_link_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = acquire(directory.path(), MOMENT).unwrap().path().to_owned();
        let other = directory.path().join("other");
        std::fs::write(&other, "precious").unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let error = acquire(directory.path(), MOMENT).unwrap_err();
        assert!(
            matches!(error, LockError::Io { what: "open", .. }),
            "{error}"
        );
        assert_eq!(std::fs::read(&other).unwrap(), b"precious");
    }

    #[test]
    fn slots_have_locks_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let _held = acquire(directory.path(), MOMENT).unwrap();
        let other = "0000:00:1c.0".parse().unwrap();
        SlotLock::acquire(directory.path(), other, "x", &Deadline::after(MOMENT)).unwrap();
    }

    #[test]
    fn a_wait_for_a_lock_can_be_interrupted() {
        let directory = tempfile::tempdir().unwrap();
        let _held = acquire(directory.path(), MOMENT).unwrap();
        let cancel = afi_pcie::Cancel::default();
        cancel.cancel();
        let deadline = Deadline::after(Duration::from_secs(60)).with_cancel(&cancel);
        let error = SlotLock::acquire(directory.path(), mgmt(), "x", &deadline).unwrap_err();
        assert_eq!(error.class(), Class::Interrupted);
    }

    #[test]
    fn only_one_of_many_holds_it_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let lock = acquire(directory.path(), Duration::from_secs(20)).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }

    /// Run by the next test in a process of its own: takes the lock, says so, and stays.
    #[test]
    #[ignore = "a part of a_killed_holder_releases_the_lock"]
    fn hold_until_killed() {
        let Some(directory) = std::env::var_os("AFI_TEST_LOCK_DIRECTORY") else {
            return;
        };
        let directory = PathBuf::from(directory);
        let _lock = acquire(&directory, Duration::from_secs(10)).unwrap();
        File::create(directory.join("held")).unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn a_killed_holder_releases_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::hold_until_killed", "--ignored"])
            .env("AFI_TEST_LOCK_DIRECTORY", directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !directory.path().join("held").exists() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the child did not start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = acquire(directory.path(), MOMENT).unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}", child.id())),
            "{error}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        acquire(directory.path(), Duration::from_secs(10)).unwrap();
    }
}
