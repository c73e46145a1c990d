//! What restores may have lost, noted beside the database: `restore.toml`.

use std::collections::{BTreeMap, BTreeSet};

use pay_once_core::{Loss, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::store::files::{Place, replace};
use crate::store::health::now_ms;

/// Writes that may be missing from the store, since a backup was restored or an operator said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreNote {
    /// The store's epoch since then.
    pub epoch: u64,
    /// When that was, in milliseconds since the Unix epoch.
    pub restored_at_ms: u64,
    /// What was written from this time on, and before [`RestoreNote::restored_at_ms`], may be missing, in milliseconds since the Unix
    /// epoch: the time of the backup.
    pub loss_begins_at_ms: u64,
    /// Commits that the store had then.
    pub commits: u64,
    /// The PSPs whose payments were compared with the store since.
    #[serde(default)]
    pub reconciled: BTreeSet<String>,
    /// Earlier losses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<RestoreNote>,
}

/// What an operator says was done: the payments of a PSP were compared with the store, up to a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// The PSP's name in the configuration.
    pub psp: String,
    /// [`RestoreNote::restored_at_ms`] of the restore. Its epoch would not name it: a backup that is restored into another directory
    /// begins an epoch that there was before.
    pub restored_at_ms: u64,
}

impl std::fmt::Display for Reconciled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.psp, self.restored_at_ms)
    }
}

impl std::str::FromStr for Reconciled {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').filter(|(psp, _)| !psp.is_empty());
        let (psp, restored_at_ms) =
            parts.ok_or("write it as PSP:RESTORED_AT_MS, for example stripe:1796031000123")?;
        let restored_at_ms = restored_at_ms
            .parse()
            .map_err(|_| format!("'{restored_at_ms}' is not a restored_at_ms of restore.toml"))?;
        Ok(Self {
            psp: psp.to_owned(),
            restored_at_ms,
        })
    }
}

impl RestoreNote {
    /// A loss that is noted now, with those before it behind it: this directory's, and a backup's. `newest_ms`: when the newest entry that
    /// is known was written.
    ///
    /// # Errors
    /// This machine's clock is behind what is known. A loss is named by its time, and a later one must not seem to be earlier.
    pub fn begin(
        (epoch, commits): (u64, u64),
        loss_begins_at_ms: u64,
        newest_ms: u64,
        before: [Option<Self>; 2],
    ) -> Result<Self, String> {
        let restored_at_ms = now_ms();
        let noted_ms = before.iter().flatten().map(Self::last_ms).max();
        let known_ms = newest_ms.max(noted_ms.unwrap_or_default());
        if restored_at_ms <= known_ms {
            return Err(format!(
                "this machine's clock is behind: it shows {restored_at_ms}, and the newest record or the last restore is of {known_ms} (milliseconds since 1970). Set it right first"
            ));
        }
        let note = Self {
            epoch,
            restored_at_ms,
            loss_begins_at_ms,
            commits,
            reconciled: BTreeSet::new(),
            earlier: Vec::new(),
        };
        Ok(before.into_iter().fold(note, Self::behind))
    }

    /// It, and every earlier one.
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.earlier)
    }

    /// When the last of them was, in milliseconds since the Unix epoch.
    fn last_ms(&self) -> u64 {
        self.all()
            .map(|note| note.restored_at_ms)
            .max()
            .unwrap_or_default()
    }

    /// Puts the losses of another note behind this one, each once.
    fn behind(mut self, before: Option<Self>) -> Self {
        let Some(mut before) = before else { return self };
        let earlier = std::mem::take(&mut before.earlier);
        for note in std::iter::once(before).chain(earlier) {
            let is_known = self
                .all()
                .any(|known| (known.epoch, known.restored_at_ms) == (note.epoch, note.restored_at_ms));
            if !is_known {
                self.earlier.push(note);
            }
        }
        self
    }

    /// As TOML. Earlier notes have no earlier ones of their own.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let earlier = self
            .earlier
            .iter()
            .map(|note| format!("\n[[earlier]]\n{}", note.own_lines()));
        std::iter::once(self.own_lines()).chain(earlier).collect()
    }

    fn own_lines(&self) -> String {
        // A JSON string is a TOML string.
        let reconciled = serde_json::json!(self.reconciled);
        format!(
            "epoch = {}\nrestored_at_ms = {}\nloss_begins_at_ms = {}\ncommits = {}\nreconciled = {reconciled}\n",
            self.epoch, self.restored_at_ms, self.loss_begins_at_ms, self.commits
        )
    }

    /// Whether a loss that begins then is noted.
    #[must_use]
    pub fn has_loss_since(&self, since_ms: u64) -> bool {
        self.all().any(|note| note.loss_begins_at_ms == since_ms)
    }

    /// Notes what was compared: up to the named restore, earlier ones included. Whether that is new.
    ///
    /// # Errors
    /// A sentence that says what to do, if no such restore is noted.
    pub fn reconcile(&mut self, said: &Reconciled) -> Result<bool, String> {
        if !self.all().any(|note| note.restored_at_ms == said.restored_at_ms) {
            return Err(format!(
                "--reconciled {said}: restore.toml has no restore of that time; the last one is named {}:{}. Compare the PSP's payments up to that one, or leave the argument out",
                said.psp, self.restored_at_ms
            ));
        }
        let is_meant = |note: &Self| note.restored_at_ms <= said.restored_at_ms;
        let mut is_new = is_meant(self) && self.reconciled.insert(said.psp.clone());
        for note in self.earlier.iter_mut().filter(|note| is_meant(note)) {
            is_new |= note.reconciled.insert(said.psp.clone());
        }
        Ok(is_new)
    }

    /// What may be missing of the payments of each of these PSPs, in one window a PSP.
    pub fn losses<'a>(&self, psps: impl Iterator<Item = &'a String>) -> BTreeMap<String, Loss> {
        let of = |psp: &String| {
            let open = self.all().filter(|note| !note.reconciled.contains(psp));
            let losses = open.map(|note| Loss {
                begins_ms: UnixMillis::new(note.loss_begins_at_ms),
                restored_ms: UnixMillis::new(note.restored_at_ms),
            });
            losses.reduce(Loss::and)
        };
        psps.filter_map(|psp| Some((psp.clone(), of(psp)?))).collect()
    }
}

/// The note of a data directory, if there is one.
///
/// # Errors
/// A sentence that says what is wrong with the file.
pub fn read_note(place: &Place) -> Result<Option<RestoreNote>, String> {
    let path = place.restore_note();
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map(Some).map_err(|error| {
            format!(
                "{} is not a note of a restore: {}",
                path.display(),
                error.message()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Writes the note, durably.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn write_note(place: &Place, note: &RestoreNote) -> Result<(), String> {
    let path = place.restore_note();
    let text = format!(
        "# Written by Pay Once. Writes between loss_begins_at_ms and restored_at_ms may be missing from the store (milliseconds since 1970).\n{}",
        note.to_toml()
    );
    replace(place, &path, &text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(epoch: u64, begins: u64, restored: u64) -> RestoreNote {
        RestoreNote {
            epoch,
            restored_at_ms: restored,
            loss_begins_at_ms: begins,
            commits: 1,
            reconciled: BTreeSet::new(),
            earlier: Vec::new(),
        }
    }

    fn window(note: &RestoreNote, psp: &str) -> Option<(u64, u64)> {
        let losses = note.losses([psp.to_owned()].iter());
        losses
            .get(psp)
            .map(|loss| (loss.begins_ms.get(), loss.restored_ms.get()))
    }

    fn said(text: &str) -> Reconciled {
        text.parse().unwrap()
    }

    #[test]
    fn all_losses_that_are_open_are_one_window() {
        let mut note = note(3, 50, 60).behind(Some(note(2, 10, 20)));
        assert_eq!(window(&note, "p"), Some((10, 60)));
        assert_eq!(note.reconcile(&said("p:20")), Ok(true));
        assert_eq!(note.reconcile(&said("p:20")), Ok(false));
        let unknown = note.reconcile(&said("p:61")).unwrap_err();
        assert!(unknown.contains("p:60"), "{unknown}");
        assert_eq!(
            (window(&note, "p"), window(&note, "q")),
            (Some((50, 60)), Some((10, 60)))
        );
        assert_eq!(note.reconcile(&said("q:60")), Ok(true));
        assert_eq!((window(&note, "p"), window(&note, "q")), (Some((50, 60)), None));
        let again = note.clone().behind(Some(note.clone()));
        assert_eq!(again, note, "each loss is noted once");
        assert!(note.has_loss_since(10) && note.has_loss_since(50) && !note.has_loss_since(60));
    }

    #[test]
    fn a_note_of_an_earlier_build_is_read() {
        let text = "epoch = 2\nrestored_at_ms = 20\nloss_begins_at_ms = 10\ncommits = 1\n";
        assert_eq!(toml::from_str::<RestoreNote>(text).unwrap(), note(2, 10, 20));
        let mut both = note(3, 50, 60).behind(Some(note(2, 10, 20)));
        both.reconcile(&said("p:20")).unwrap();
        both.reconcile(&said("q\"q:60")).unwrap();
        assert_eq!(toml::from_str::<RestoreNote>(&both.to_toml()).unwrap(), both);
    }

    #[test]
    fn what_was_compared_names_a_psp_and_a_restore() {
        assert_eq!(said("a:b:7").psp, "a:b");
        for bad in ["2", "stripe", ":2", "stripe:", "stripe:x"] {
            assert!(bad.parse::<Reconciled>().is_err(), "{bad}");
        }
    }
}
