//! The files of a data directory: who may read them, which process holds them, and whether an open file is still the file
//! of its name.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bits of a mode that give anything to others than the owner.
const OTHERS: u32 = 0o077;
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Where each file of a data directory is.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// The data directory `dir`. Nothing is looked at yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.dir.join("pay-once.sqlite3")
    }

    /// The database's write-ahead log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("pay-once.sqlite3-wal")
    }

    /// The index of the write-ahead log, which SQLite makes anew whenever it is missing.
    #[must_use]
    pub fn log_index(&self) -> PathBuf {
        self.dir.join("pay-once.sqlite3-shm")
    }

    /// The high-water mark.
    #[must_use]
    pub fn mark(&self) -> PathBuf {
        self.dir.join("pay-once.mark")
    }

    /// What the last restore may have lost.
    #[must_use]
    pub fn restore_note(&self) -> PathBuf {
        self.dir.join("restore.toml")
    }

    /// The lock file.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Makes the directory for its owner alone, or checks that nobody else can enter it or read its files.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to do.
    pub fn prepare(&self) -> Result<(), String> {
        let dir = self.dir.display();
        if !self.dir.exists() {
            let made = DirBuilder::new()
                .recursive(true)
                .mode(PRIVATE_DIR)
                .create(&self.dir);
            // The umask may have taken bits from the owner.
            let made =
                made.and_then(|()| fs::set_permissions(&self.dir, Permissions::from_mode(PRIVATE_DIR)));
            return made.map_err(|error| format!("the data directory {dir} cannot be made: {error}"));
        }
        let files = [
            self.database(),
            self.log(),
            self.log_index(),
            self.mark(),
            self.restore_note(),
            self.lock(),
        ];
        let wide: Vec<String> = std::iter::once(self.dir.clone())
            .chain(files)
            .filter_map(|path| {
                let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
                (mode & OTHERS != 0).then(|| format!("{} has mode {mode:04o}", path.display()))
            })
            .collect();
        if wide.is_empty() {
            return Ok(());
        }
        Err(format!(
            "other users of this machine have access to the store: {}. The directory must have mode 0700 and its files 0600: run chmod -R go-rwx {dir}",
            wide.join(", ")
        ))
    }

    /// Makes what was written to the directory's list of names durable.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// Opens a file for reading and writing, makes it if it is not there, and gives it to its owner alone.
///
/// # Errors
/// What the operating system says.
pub fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE)
        .open(path)
}

/// Writes a small file whole or not at all, for its owner alone, durably.
///
/// # Errors
/// What the operating system says.
pub fn replace(place: &Place, path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let _ = fs::remove_file(&draft);
    let mut file = open_private(&draft)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    place.sync()
}

/// The lock of a data directory: it is held as long as the process lives, also by a `kill -9`.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// The lock of a data directory that another process holds.
#[derive(Debug)]
pub enum NotLocked {
    /// Another process holds it.
    Held,
    /// A sentence that says what is wrong and what to do.
    Failed(String),
}

impl DirLock {
    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    /// Another process holds it, or the directory cannot be used.
    pub fn take(place: &Place) -> Result<Self, NotLocked> {
        place.prepare().map_err(NotLocked::Failed)?;
        let path = place.lock();
        let file = open_private(&path).map_err(|error| {
            NotLocked::Failed(format!(
                "the lock file {} cannot be made: {error}",
                path.display()
            ))
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(NotLocked::Held),
            Err(fs::TryLockError::Error(error)) => Err(NotLocked::Failed(format!(
                "the lock file {} cannot be locked: {error}",
                path.display()
            ))),
        }
    }

    /// What to tell whoever found the lock held.
    #[must_use]
    pub fn held(place: &Place) -> String {
        format!(
            "another process is serving from {}. Stop it, or choose another directory with --data",
            place.dir().display()
        )
    }
}

/// Which file a name led to when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// Open files, by name. What is written to a file that has lost its name is gone when the process ends.
#[derive(Debug)]
pub struct OpenFiles {
    files: Vec<(PathBuf, Identity)>,
}

impl OpenFiles {
    /// The files of a store that has just been opened.
    ///
    /// # Errors
    /// A sentence that says which file is not there.
    pub fn of(place: &Place) -> Result<Self, String> {
        let identify = |path: PathBuf| match Identity::of(&path) {
            Ok(identity) => Ok((path, identity)),
            Err(error) => Err(format!("{} cannot be looked at: {error}", path.display())),
        };
        let files = [place.database(), place.log(), place.mark(), place.lock()];
        let files = files.into_iter().map(identify).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// Whether each file is still the one that its name leads to.
    ///
    /// # Errors
    /// A sentence that says which file is not, and what to do.
    pub fn are_in_place(&self) -> Result<(), String> {
        for (path, opened) in &self.files {
            let what = match Identity::of(path) {
                Ok(now) if now == *opened => continue,
                Ok(_) => "was replaced by another file".to_owned(),
                Err(error) => format!("is not there any more ({error})"),
            };
            return Err(format!(
                "{} {what} while this process had it open. Nothing is acknowledged from here on. Put the file back, or restore a backup with `pay-once restore`, and start again",
                path.display()
            ));
        }
        Ok(())
    }
}
