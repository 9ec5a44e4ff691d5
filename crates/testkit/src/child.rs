//! Other processes of a test.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use diskette_ipc::{Deadline, clock};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::role::{ARGS, ROLE, SAID, SEPARATOR, name_of};

/// A process that plays one [`role!`](crate::role), killed with all that it has forked when this is dropped.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    process: process::Child,
    lines: Receiver<String>,
    /// All that it said and printed so far.
    transcript: Transcript,
}

type Transcript = Arc<Mutex<String>>;

impl Child {
    /// Starts this very binary again, to play `role` with `args`.
    ///
    /// # Panics
    ///
    /// If the process cannot be started.
    pub fn spawn<F: Fn()>(role: F, args: &[&dyn Display]) -> Self {
        Self::spawn_under(&[], role, args)
    }

    /// The same, by a program that starts another, with its arguments: `unshare`, say.
    ///
    /// # Panics
    ///
    /// If the process cannot be started.
    pub fn spawn_under<F: Fn()>(starter: &[&str], role: F, args: &[&dyn Display]) -> Self {
        let mut process = Self::command_under(starter, &role, args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("a child process");

        let transcript = Transcript::default();
        let (sender, lines) = mpsc::channel();
        listen(process.stdout.take(), &transcript, Some(sender));
        listen(process.stderr.take(), &transcript, None);
        Self {
            name: name_of(&role),
            process,
            lines,
            transcript,
        }
    }

    /// What starts this very binary to play `role` with `args`, for who starts it himself. Its standard input is that of a child.
    ///
    /// # Panics
    ///
    /// If there is no such binary.
    #[must_use]
    pub fn command<F: Fn()>(role: F, args: &[&dyn Display]) -> Command {
        Self::command_under(&[], &role, args)
    }

    fn command_under<F: Fn()>(starter: &[&str], role: &F, args: &[&dyn Display]) -> Command {
        let name = name_of(role);
        let (_crate, path) = name.split_once("::").unwrap_or(("", name));
        let args: Vec<_> = args.iter().map(ToString::to_string).collect();

        let this = env::current_exe().expect("this binary");
        let mut words = starter.iter().map(OsString::from).chain([this.into()]);
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .args([&format!("{path}::role"), "--exact"])
            .args(["--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, name)
            .env(ARGS, args.join(&SEPARATOR.to_string()));
        command
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Says one line to it.
    ///
    /// # Panics
    ///
    /// If it is gone.
    #[track_caller]
    pub fn say(&mut self, line: impl Display) {
        let said = match &mut self.process.stdin {
            Some(stdin) => writeln!(stdin, "{line}"),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        if let Err(error) = said {
            self.fail(&format!("doesn't listen: {error}"));
        }
    }

    /// The next line that it says.
    ///
    /// # Panics
    ///
    /// If it says none within `timeout`, or ends.
    #[track_caller]
    pub fn hear(&mut self, timeout: Duration) -> String {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => self.fail(&format!("said nothing for {timeout:?}")),
            Err(RecvTimeoutError::Disconnected) => self.fail("ended without a word"),
        }
    }

    /// Kills it, with all that it has forked, if it isn't dead; all that it said and that nobody has heard.
    pub fn last_words(&mut self) -> Vec<String> {
        let _ = signal::killpg(self.pid(), Signal::SIGKILL);
        let _ = self.process.wait();
        self.lines.iter().collect()
    }

    /// A line that it has said already and that nobody has heard, if there is one.
    pub fn heard(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// If it is gone.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        // Nobody else may get its id as long as it hasn't been waited for.
        if let Ok(None) = self.process.try_wait()
            && signal::kill(self.pid(), signal).is_ok()
        {
            return;
        }
        self.fail(&format!("is gone and cannot be sent {signal}"));
    }

    /// Kills it with SIGKILL, but not what it has forked, and returns when it is gone.
    ///
    /// # Panics
    ///
    /// If it was gone already, or cannot be killed.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        if let Err(error) = self.process.wait() {
            self.fail(&format!("cannot be waited for: {error}"));
        }
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    ///
    /// If it doesn't within `timeout`.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = Deadline::after(timeout);
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) if deadline.is_past() => {
                    self.fail(&format!("still runs after {timeout:?}"))
                }
                Ok(None) => clock::sleep(Duration::from_millis(1)),
                Err(error) => self.fail(&format!("cannot be waited for: {error}")),
            }
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("{} {what}", self.name);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = signal::killpg(self.pid(), Signal::SIGKILL);
        let _ = self.process.wait();
        if thread::panicking() {
            let transcript = self.transcript.lock();
            let transcript = transcript.unwrap_or_else(PoisonError::into_inner);
            eprintln!("--- {} printed:\n{transcript}---", self.name);
        }
    }
}

/// Writes down all that comes out of a child, and passes on what it says.
fn listen(
    from: Option<impl Read + Send + 'static>,
    transcript: &Transcript,
    to: Option<Sender<String>>,
) {
    let transcript = Arc::clone(transcript);
    thread::spawn(move || {
        let lines = from
            .into_iter()
            .flat_map(|from| BufReader::new(from).lines());
        for line in lines.map_while(Result::ok) {
            let mut transcript = transcript.lock().unwrap_or_else(PoisonError::into_inner);
            transcript.push_str(&line);
            transcript.push('\n');
            if let (Some(to), Some(said)) = (&to, line.strip_prefix(SAID)) {
                let _ = to.send(said.to_owned());
            }
        }
    });
}
