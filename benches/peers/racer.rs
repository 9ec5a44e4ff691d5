//! Processes of one of several libraries, which do what they are told in a line, and say in a line what they measured.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// In which a process ends that has nothing more to do.
const SOON: Duration = Duration::from_secs(10);

/// The environments into which the script beside this has installed the peers; `None` without it.
pub(crate) fn installed() -> Option<PathBuf> {
    env::var_os("PEERS").map(PathBuf::from)
}

/// How a process of a peer that runs this script is started; `None` if it isn't installed.
pub(crate) fn python(environment: &str, script: &str) -> Option<Command> {
    let mut command = Command::new(installed()?.join(environment).join("bin/python"));
    command.arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(script),
    );
    Some(command)
}

/// How a process of this program is started.
pub(crate) fn this() -> Command {
    Command::new(env::current_exe().expect("this program"))
}

/// A process that hears and says lines, and ends when it hears no more: with this.
pub(crate) struct Racer {
    pub(crate) child: Child,
    lines: Receiver<String>,
}

impl Racer {
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("a process");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (say, lines) = channel();
        thread::spawn(move || {
            let all = out.lines().map_while(Result::ok);
            let _ = all.into_iter().try_for_each(|line| say.send(line));
        });
        Racer { child, lines }
    }

    /// Nobody listens if it has died, which shows in what it doesn't say.
    pub(crate) fn say(&mut self, line: &str) {
        if let Some(pipe) = &mut self.child.stdin {
            let _ = pipe.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Its next line; `None` if it has died, or says nothing for so long.
    pub(crate) fn hear(&mut self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        while self.lines.recv_timeout(SOON).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
