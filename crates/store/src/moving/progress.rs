use crate::moving::Checksum;

/// How far a store has come that is being moved: see [`Store::promote`](crate::Store::promote).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// What is being copied: the rows of this kind of structure (`deque`, `index`, …), or the large values (`value_files`).
    pub kind: String,
    /// Rows and large values that are copied, and were not changed since, as far as is known.
    pub rows: u64,
    /// Of so many.
    pub all_rows: u64,
    /// What these values take, encoded, in bytes.
    pub bytes: u64,
    /// Of so many.
    pub all_bytes: u64,
}

/// The steps of a move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// All is copied and compared, and then what has changed meanwhile, while others write.
    #[default]
    Copying,
    /// Those who write are waited for, and from then on wait themselves.
    Waiting,
    /// What has changed since is copied and compared.
    CatchingUp,
    /// The copy is there, and not in use yet.
    Copied,
    /// It is the store.
    Moved,
}

/// Tells of the progress.
pub(crate) struct Meter<'t> {
    pub(crate) progress: Progress,
    tell: &'t mut dyn FnMut(&Progress),
    told: (u64, u64),
}

/// It is told after so many rows, or so many bytes.
const ROWS: u64 = 1000;
const BYTES: u64 = 1024 * 1024;

impl<'t> Meter<'t> {
    pub(crate) fn new(tell: &'t mut dyn FnMut(&Progress)) -> Self {
        Meter {
            progress: Progress::default(),
            tell,
            told: (0, 0),
        }
    }

    /// There is more.
    pub(crate) fn expect(&mut self, rows: i64, bytes: i64) {
        self.progress.all_rows += rows.unsigned_abs();
        self.progress.all_bytes += bytes.unsigned_abs();
    }

    pub(crate) fn step(&mut self, step: Step) {
        self.progress.step = step;
        self.tell();
    }

    pub(crate) fn doing(&mut self, kind: &str) {
        if self.progress.kind != kind {
            kind.clone_into(&mut self.progress.kind);
        }
    }

    /// One more was copied.
    pub(crate) fn done(&mut self, bytes: i64) {
        let progress = &mut self.progress;
        progress.rows += 1;
        progress.bytes += bytes.unsigned_abs();
        progress.all_rows = progress.all_rows.max(progress.rows);
        progress.all_bytes = progress.all_bytes.max(progress.bytes);
        let (rows, bytes) = self.told;
        if progress.rows.abs_diff(rows) >= ROWS || progress.bytes.abs_diff(bytes) >= BYTES {
            self.tell();
        }
    }

    /// What is `there` is to be replaced by what is `here`.
    pub(crate) fn again(&mut self, there: Checksum, here: Checksum) {
        let progress = &mut self.progress;
        let less = |number: &mut u64, by: u64| *number = number.saturating_sub(by);
        less(&mut progress.rows, there.rows);
        less(&mut progress.bytes, there.bytes);
        less(&mut progress.all_rows, there.rows);
        less(&mut progress.all_bytes, there.bytes);
        progress.all_rows += here.rows;
        progress.all_bytes += here.bytes;
    }

    /// So much is there, and it is all.
    pub(crate) fn is_all(&mut self, sum: Checksum) {
        let progress = &mut self.progress;
        (progress.rows, progress.all_rows) = (sum.rows, sum.rows);
        (progress.bytes, progress.all_bytes) = (sum.bytes, sum.bytes);
    }

    fn tell(&mut self) {
        self.told = (self.progress.rows, self.progress.bytes);
        (self.tell)(&self.progress);
    }
}
