//! The programs of an installed PostgreSQL, and the user who runs them.

use std::env;
use std::fs;
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use diskette_ipc::Mode;
use nix::unistd::{Uid, User};

use super::{DATABASE, ROLE, SUPERUSER, lock};

/// Where they are.
#[derive(Debug)]
pub(super) struct Programs {
    bin: PathBuf,
    /// Who runs the server if this process is root, as which it refuses to run.
    pub(super) user: Option<User>,
}

impl Programs {
    /// The newest there are. If there are none, says so once.
    pub(super) fn installed() -> Option<&'static Self> {
        static INSTALLED: OnceLock<Option<Programs>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| match Self::find() {
            Ok(found) => Some(found),
            Err(why) if env::var_os(REQUIRED).is_none() => {
                // Not `eprintln`, which is shown for failed tests only.
                let _ = writeln!(io::stderr(), "no tests on PostgreSQL: {why}");
                None
            }
            Err(why) => panic!("{why}, and {REQUIRED} is set"),
        });
        installed.as_ref()
    }

    /// A program to be run by the server's user.
    pub(super) fn server(&self, program: &str) -> Command {
        let mut command = self.client(program);
        command.current_dir("/"); // which any user may enter
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// A program to be run by this one's user.
    pub(super) fn client(&self, program: &str) -> Command {
        Command::new(self.bin.join(program))
    }

    /// Makes a data directory in one that is the server's: a copy of one that `initdb` has made once, since that takes
    /// seconds.
    pub(super) fn make_data(&self, data: &Path) {
        let template = home().join(self.template_name());
        if !template.exists() {
            let _making = lock(&home().join("template.lock"), Mode::Exclusive);
            if !template.exists() {
                self.make_template(data);
                let unfinished = home().join("unfinished");
                let _ = fs::remove_dir_all(&unfinished);
                copy(data, &unfinished);
                fs::rename(unfinished, template).expect("a template");
                return;
            }
        }
        copy(&template, data);
    }

    fn find() -> Result<Self, String> {
        let path = env::var_os("PATH").unwrap_or_default();
        let has = |directory: &Path, program: &str| directory.join(program).is_file();
        let bin = debian()
            .into_iter()
            .chain(env::split_paths(&path))
            .find(|bin| ["initdb", "postgres", "psql"].iter().all(|it| has(bin, it)))
            .ok_or("none is installed in /usr/lib/postgresql or on the PATH")?;
        for tool in ["sh", "flock"] {
            if !env::split_paths(&path).any(|directory| has(&directory, tool)) {
                return Err(format!("there is no {tool}(1)"));
            }
        }

        let named = |name| User::from_name(name).ok().flatten();
        let user = match Uid::effective().is_root() {
            true => Some(
                ["postgres", "nobody"]
                    .into_iter()
                    .find_map(named)
                    .ok_or("there is no user but root to run it")?,
            ),
            false => None,
        };
        Ok(Self { bin, user })
    }

    /// Of this version and user alone.
    fn template_name(&self) -> String {
        let version = output(self.client("postgres").arg("--version"), "");
        let version = version.split_whitespace().nth(2).expect("a version");
        let user = self.user.as_ref().map_or(Uid::effective(), |user| user.uid);
        format!("template-{version}-{user}")
    }

    fn make_template(&self, data: &Path) {
        let mut initdb = self.server("initdb");
        initdb
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .args(["--wal-segsize=1", "--username", SUPERUSER, "-D"])
            .arg(data);
        output(&mut initdb, "");
        let mut single_user = self.server("postgres");
        single_user
            .args(["--single", "-c", "fsync=off", "-D"])
            .arg(data)
            .arg("template1");
        let statements = [
            format!("CREATE ROLE {ROLE} LOGIN\n"),
            // Another database would be hundreds of files more to copy.
            format!("ALTER DATABASE postgres RENAME TO {DATABASE}\n"),
            format!("ALTER DATABASE {DATABASE} OWNER TO {ROLE}\n"),
        ];
        let said = output(&mut single_user, &statements.concat());
        assert!(!said.contains("ERROR"), "{said}");
    }
}

const REQUIRED: &str = "DISKETTE_REQUIRE_POSTGRES";

/// What all runs of this target directory's tests share.
pub(super) fn home() -> PathBuf {
    let this = env::current_exe().expect("this binary");
    let is_target = |directory: &&Path| directory.join("CACHEDIR.TAG").is_file();
    let target = this.ancestors().find(is_target);
    let home = match target {
        Some(target) => target.join("tmp/postgres"),
        None => env::temp_dir().join("diskette-postgres"), // a doctest
    };
    fs::create_dir_all(&home).expect("a directory");
    home
}

/// Debian's, which are not on the PATH, the newest first.
fn debian() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<_> = versions
        .filter_map(|version| {
            let path = version.ok()?.path();
            let number: f64 = path.file_name()?.to_str()?.parse().ok()?;
            Some((number, path.join("bin")))
        })
        .collect();
    versions.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

/// With the same owner.
fn copy(from: &Path, to: &Path) {
    output(Command::new("cp").arg("-a").arg(from).arg(to), "");
}

/// Another program that some tests need. If there is none, says so.
pub(super) fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = places
        .map(|place| place.join(name))
        .find(|tool| tool.is_file());
    if found.is_none() {
        assert!(
            env::var_os(REQUIRED).is_none(),
            "there is no {name}, and {REQUIRED} is set"
        );
        // Not `eprintln`, which is shown for failed tests only.
        let _ = writeln!(io::stderr(), "no tests with {name}: none is installed");
    }
    found
}

/// All that a program prints.
pub(super) fn output(command: &mut Command, input: &str) -> String {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(input.as_bytes()).expect("a file");
    file.rewind().expect("a file");
    let output = command.stdin(file).output().expect("a program");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said += &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}
