//! What is on a disk for sure.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Worst;

/// Of use to the living only, and in no image.
const VOLATILE: [&str; 5] = ["board", "bell", "locks", "owners", "store.db-shm"];

/// The log tells where it was cut off, so that more of it may be there than was synced.
const LOG: &str = "store.db-wal";

/// A directory, by the path of each file or directory (`None`) below it.
pub(super) type Image = BTreeMap<PathBuf, Option<Content>>;

pub(super) type Content = Arc<[u8]>;
pub(super) type Names = BTreeMap<OsString, Node>;
type Tree = BTreeMap<PathBuf, Node>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    inode: u64,
    is_directory: bool,
}

/// The model of a directory on the disk.
pub(super) struct Disk {
    path: PathBuf,
    root: u64,
    inodes: HashMap<u64, Inode>,
}

struct Inode {
    /// Held open, so that nothing else gets the number.
    file: File,
    /// Of a directory, as last synced.
    names: Names,
    /// Of a file, as last synced,
    content: Content,
    /// and what later truncations leave of it.
    cut: Content,
}

/// What a sync makes sure of.
pub(super) enum Synced {
    Directory(u64, Names),
    File(u64, Content),
}

impl Disk {
    /// All that is there counts as synced.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let mut disk = Disk {
            root: fs::metadata(&path)?.ino(),
            inodes: HashMap::new(),
            path,
        };
        for below in disk.done().into_keys().chain([PathBuf::new()]) {
            let synced = disk.sync(&disk.path.join(below))?;
            disk.synced(synced);
        }
        Ok(disk)
    }

    /// Where a path leads from here; `None`, if it isn't on the disk or of no matter.
    pub(super) fn relative(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.path).ok()?;
        (!below.iter().any(is_volatile)).then(|| below.to_owned())
    }

    /// What a sync that begins now will make sure of.
    pub(super) fn sync(&mut self, path: &Path) -> io::Result<Synced> {
        let mut file = File::open(path)?;
        let synced = if file.metadata()?.is_dir() {
            let names = list(path);
            for name in names.keys() {
                // It may be gone again.
                let _ = File::open(path.join(name)).and_then(|file| self.hold(file));
            }
            Synced::Directory(self.hold(file)?, names)
        } else {
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            Synced::File(self.hold(file)?, content.into())
        };
        Ok(synced)
    }

    /// The sync has returned.
    pub(super) fn synced(&mut self, synced: Synced) {
        let (Synced::Directory(inode, _) | Synced::File(inode, _)) = synced;
        if let Some(inode) = self.inodes.get_mut(&inode) {
            match synced {
                Synced::Directory(_, names) => inode.names = names,
                Synced::File(_, content) => {
                    inode.cut = Arc::clone(&content);
                    inode.content = content;
                }
            }
        }
    }

    /// What a power cut would leave now.
    pub(super) fn images(&mut self) -> io::Result<[(Worst, Image); 4]> {
        for inode in self.inodes.values_mut() {
            let length = usize::try_from(inode.file.metadata()?.len()).unwrap_or(usize::MAX);
            if let Some(cut) = inode.cut.get(..length) {
                inode.cut = cut.into();
            }
        }
        let (done, undone) = (self.done(), self.undone());
        let mut sure = done.clone();
        sure.retain(|path, node| undone.get(path) == Some(node));

        let gone = self.image(&sure, |inode| &inode.cut);
        let mut written = gone.clone();
        for log in done.keys().filter(|path| path.ends_with(LOG)) {
            if log.parent().is_some_and(|parent| gone.contains_key(parent))
                && let Ok(content) = fs::read(self.path.join(log))
            {
                written.insert(log.clone(), Some(content.into()));
            }
        }
        Ok([
            (Worst::NamesDone, self.image(&done, |inode| &inode.cut)),
            (
                Worst::NamesUndone,
                self.image(&undone, |inode| &inode.content),
            ),
            (Worst::NamesGone, gone),
            (Worst::LogWritten, written),
        ])
    }

    fn image(&self, tree: &Tree, content: impl Fn(&Inode) -> &Content) -> Image {
        let content = |node: &Node| match self.inodes.get(&node.inode) {
            _ if node.is_directory => None,
            Some(inode) => Some(Arc::clone(content(inode))),
            // Never synced.
            None => Some(Content::default()),
        };
        tree.iter()
            .map(|(path, node)| (path.clone(), content(node)))
            .collect()
    }

    fn done(&self) -> Tree {
        self.tree(|path, _| list(&self.path.join(path)))
    }

    fn undone(&self) -> Tree {
        let synced = |inode| Some(self.inodes.get(&inode)?.names.clone());
        self.tree(|_, inode| synced(inode).unwrap_or_default())
    }

    fn tree(&self, names: impl Fn(&Path, u64) -> Names) -> Tree {
        let mut tree = Tree::new();
        let mut todo = vec![(PathBuf::new(), self.root)];
        while let Some((directory, inode)) = todo.pop() {
            for (name, node) in names(&directory, inode) {
                let path = directory.join(name);
                if node.is_directory {
                    todo.push((path.clone(), node.inode));
                }
                tree.insert(path, node);
            }
        }
        tree
    }

    fn hold(&mut self, file: File) -> io::Result<u64> {
        let inode = file.metadata()?.ino();
        self.inodes.entry(inode).or_insert_with(|| Inode {
            file,
            names: Names::new(),
            content: Content::default(),
            cut: Content::default(),
        });
        Ok(inode)
    }
}

/// Nothing, if it is gone.
fn list(directory: &Path) -> Names {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let named = entries.filter(|entry| !is_volatile(&entry.file_name()));
    let nodes = named.filter_map(|entry| {
        let node = Node {
            inode: entry.ino(),
            is_directory: entry.file_type().ok()?.is_dir(),
        };
        Some((entry.file_name(), node))
    });
    nodes.collect()
}

fn is_volatile(name: &OsStr) -> bool {
    VOLATILE.iter().any(|volatile| name == *volatile)
}
