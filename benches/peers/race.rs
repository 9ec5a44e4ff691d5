//! Processes of one of several libraries, which begin together and say in a line what they measured.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// Starts processes, each of which says `ready`, waits for a line, and then says what it measured: these lines.
pub(crate) fn race(commands: impl IntoIterator<Item = Command>) -> Vec<String> {
    let spawn = |mut command: Command| {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("a process");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        (child, out)
    };
    let mut racers: Vec<_> = commands.into_iter().map(spawn).collect();
    for (_, out) in &mut racers {
        assert_eq!(line(out), "ready\n");
    }
    for (child, _) in &mut racers {
        let pipe = child.stdin.as_mut().expect("a pipe");
        pipe.write_all(b"\n").expect("a process that listens");
    }
    let finish = |(mut child, mut out): (std::process::Child, BufReader<_>)| {
        let said = line(&mut out);
        assert!(child.wait().expect("its end").success());
        said
    };
    racers.into_iter().map(finish).collect()
}

fn line(out: &mut BufReader<impl Read>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    line
}
