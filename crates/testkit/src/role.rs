//! What a child does.

use std::any::type_name_of_val;
use std::fmt::{Debug, Display};
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver};
use std::{env, process, thread};

/// Defines what a child process does, under the name by which [`Child::spawn`](crate::Child::spawn) starts it:
/// `role! { fn name(parent) { .. } }`, with a [`Parent`] to talk to.
///
/// Under the test harness a role is an ignored test. A program without the harness, such as a benchmark, begins with
/// `if is_child() { name(); other_name(); return }`: each but the right one returns at once.
#[macro_export]
macro_rules! role {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($parent:ident) $body:block) => {
        $(#[$meta])*
        #[allow(clippy::unwrap_used, clippy::expect_used, reason = "this is how a test fails")]
        $vis fn $name() {
            $crate::play($name, |$parent: &$crate::Parent| $body);
        }

        #[cfg(test)]
        mod $name {
            #[test]
            #[ignore = "played in a process of its own"]
            fn role() {
                super::$name();
            }
        }
    };
}

/// Whether this process was started to play a role.
#[must_use]
pub fn is_child() -> bool {
    env::var_os(ROLE).is_some()
}

/// Plays `role`, if this process was started for it. For [`role!`](crate::role) to call.
pub fn play<F: Fn()>(role: F, act: impl FnOnce(&Parent)) {
    if env::var(ROLE).is_ok_and(|name| name == name_of(&role)) {
        act(&Parent::new());
    }
}

/// The test that started this process.
#[derive(Debug)]
pub struct Parent {
    args: Vec<String>,
    lines: Receiver<String>,
}

impl Parent {
    /// An argument that was given to [`Child::spawn`](crate::Child::spawn).
    ///
    /// # Panics
    ///
    /// If it isn't there, or is no `T`.
    #[must_use]
    pub fn arg<T: FromStr<Err: Debug>>(&self, i: usize) -> T {
        self.args[i].parse().expect("an argument of that type")
    }

    /// Says one line to the parent.
    ///
    /// # Panics
    ///
    /// If the parent is gone.
    pub fn say(&self, line: impl Display) {
        // In one piece and on a line of its own, whatever other processes write to the same pipe.
        let line = format!("\n{SAID}{line}\n");
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .expect("a parent that listens");
    }

    /// Waits for the parent to say a line. If it is gone, so is this process: no child outlives its test.
    pub fn hear(&self) -> String {
        self.lines.recv().unwrap_or_else(|_| process::exit(1))
    }

    fn new() -> Self {
        println!(); // the harness has begun a line
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
            process::exit(1); // the parent is gone
        });
        let args = env::var(ARGS).unwrap_or_default();
        let args = args.split(SEPARATOR).map(str::to_owned).collect();
        Self { args, lines }
    }
}

pub(crate) const ROLE: &str = "DISKETTE_TEST_ROLE";
pub(crate) const ARGS: &str = "DISKETTE_TEST_ARGS";
pub(crate) const SEPARATOR: char = '\u{1f}';
/// Begins each line that is said, so that it isn't taken for one that is only printed.
pub(crate) const SAID: &str = "» ";

pub(crate) fn name_of<F>(role: &F) -> &'static str {
    type_name_of_val(role)
}
