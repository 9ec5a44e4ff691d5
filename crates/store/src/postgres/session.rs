//! This process among those that have the store open: a session of its own, in which it hears what others say, and by which they
//! know that it lives.
//!
//! An owner is a session that holds the advisory lock with his number. The server gives that up when the connection ends, however
//! it ends: what the owner had is free from then on. Each process waits for the lock of the owner before it, in the order of
//! their numbers, the last before the first; who gets it knows him to be dead, and settles his estate.

use std::sync::{Arc, Weak};
use std::time::Duration;

use diskette_ipc::clock::{self, uptime};
use diskette_ipc::{Doorbell, Mutex, OwnerId, Party, background, fork, random};
use tokio_postgres::AsyncMessage;

use crate::error::{Error, Result};
use crate::postgres::clock::ServerClock;
use crate::postgres::connection::{Connection, SILENCE};
use crate::postgres::ringing::Rope;
use crate::postgres::{Postgres, Shared};

/// Locks of owners have one number, so that they are none of those of stores and structures, which have two.
const LOCK: &str = "SELECT pg_advisory_lock($1)";
/// Those who wait for his death may have his lock too, for a moment, but shared.
const IS_ALIVE: &str = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
    AND mode = 'ExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    AND CAST(classid AS BIGINT) = CAST($1 AS BIGINT) >> 32 AND CAST(objid AS BIGINT) = CAST($1 AS BIGINT) & 4294967295";
const JOIN: &str = "INSERT INTO owners (id, pid, host, program) VALUES ($1, $2, $3, $4)";
const OTHERS: &str = "SELECT id FROM owners WHERE id <> $1 ORDER BY id";
const PARTY: &str = "SELECT pid, host, program FROM owners WHERE id = $1";
const LEAVE: &str = "DELETE FROM owners WHERE id = $1";
const LEAVE_OFF: &str = "DELETE FROM waiting WHERE owner = $1";

/// After an error, such as a server that is down, first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// How often a session says that it lives. The server ends one that is silent for [`SILENCE`]; its process counts on it no longer
/// than `TRUSTED` after it was last heard, so that it knows before others do.
const BEAT: Duration = Duration::from_secs(4);
const TRUSTED: Duration = Duration::from_secs(12);

/// How long a thread waits before it looks whether the store is still open here.
const TICK: Duration = Duration::from_secs(1);

/// And before it looks who else has come, which it is told as well: first, and then.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_secs(10);

/// How long it waits in one transaction: as long as that lasts the server keeps what others replace, and they walk over it.
const BREATH: Duration = Duration::from_millis(500);

/// What a process says on the channel of the store when it comes.
const JOINED: &str = "joined";
const CANCEL: &str = "SELECT pg_cancel_backend($1)";

#[derive(Default)]
pub(crate) struct Session {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The generation of forks in which it was begun, and who this process is.
    me: Option<(u64, OwnerId)>,
    /// When what the server has answered since was sent, by the time since the system started.
    heard: Duration,
    /// The session of the thread that waits for another owner's end.
    watcher: Option<i32>,
}

impl State {
    fn is_trusted(&self) -> bool {
        uptime().saturating_sub(self.heard) < TRUSTED
    }
}

impl Postgres {
    /// Who this process is, with a session that says so.
    pub(crate) fn claimant(&self) -> Result<OwnerId> {
        self.must_be_writable()?;
        let mut state = self.home().session.state.lock();
        match state.me {
            Some((generation, me)) if generation == fork::generation() && state.is_trusted() => {
                Ok(me)
            }
            _ => {
                state.heard = uptime();
                let me = self.at_home().begin_session()?;
                state.me = Some((fork::generation(), me));
                Ok(me)
            }
        }
    }

    /// Who this process is, if it has a session: else an owner that there is none of.
    pub(crate) fn me(&self) -> OwnerId {
        let me = self.home().session.state.lock().me;
        let me = me.filter(|&(generation, _)| generation == fork::generation());
        me.map_or(OwnerId::from_i64(0), |(_, me)| me)
    }

    /// Whether this process still is that owner.
    pub(crate) fn is_still(&self, owner: OwnerId) -> bool {
        let state = self.home().session.state.lock();
        state.me == Some((fork::generation(), owner)) && state.is_trusted()
    }

    pub(crate) fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        let connection = self.lend_another()?;
        is_alive(&connection, owner)
    }

    pub(crate) fn party_of(&self, owner: OwnerId) -> Option<Party> {
        let home = self.at_home();
        let connection = home.lend_another().ok()?;
        let rows = connection.query(PARTY, &[owner.as_i64().into()]);
        let rows = rows.ok()?;
        let row = rows.first()?;
        let mut party = Party::default();
        party.pid = u32::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        party.host = row.get(1);
        party.program = row.get(2);
        Some(party)
    }

    pub(crate) fn watch_deaths(&self) -> Result<()> {
        self.claimant().map(drop)
    }

    fn begin_session(&self) -> Result<OwnerId> {
        let failed = |error| Error::io("can't begin the session of this process", error);
        let me = OwnerId::from_i64(random::number().map_err(failed)?);
        let connection = self.open_another()?;
        connection.query(LOCK, &[me.as_i64().into()])?;
        let party = Party::me();
        let row = [
            me.as_i64().into(),
            i64::from(party.pid).into(),
            party.host.as_str().into(),
            party.program.as_str().into(),
        ];
        connection.execute(JOIN, &row)?;
        let channel = &self.home().rope.channel;
        connection.batch(&format!(
            "LISTEN {channel}; SET idle_session_timeout = {}; SELECT pg_notify('{channel}', '{JOINED}')",
            SILENCE.as_millis()
        ))?;
        let (shared, watched) = (Arc::downgrade(&self.shared), Arc::downgrade(&self.shared));
        let clock = Arc::clone(&self.home().clock);
        background::spawn("diskette-listener", move || {
            listen(&connection, &shared, &clock, me)
        })
        .map_err(failed)?;
        background::spawn("diskette-undertaker", move || watch(&watched, me)).map_err(failed)?;
        Ok(me)
    }

    /// Settles the estates of those who are dead; of the living, who is to be watched by this one?
    pub(crate) fn settle_the_dead(
        &self,
        connection: &Connection,
        me: OwnerId,
    ) -> Result<Option<OwnerId>> {
        let others = connection.query(OTHERS, &[me.as_i64().into()])?;
        let mut living = Vec::new();
        for row in others {
            let owner = OwnerId::from_i64(row.get(0));
            match is_alive(connection, owner)? {
                true => living.push(owner),
                false => self.settle(owner)?,
            }
        }
        let before = living.iter().rev().find(|&&owner| owner < me);
        Ok(before.or(living.last()).copied())
    }

    /// Claims go back, and whatever else was kept for an owner who is dead; each step harmless when done twice.
    fn settle(&self, owner: OwnerId) -> Result<()> {
        for part in self.all_parts() {
            part.store().give_back_claims_of(owner)?;
            part.free_what_was_held(owner)?;
        }
        let connection = self.lend()?;
        for sql in [LEAVE_OFF, LEAVE] {
            connection.execute(sql, &[owner.as_i64().into()])?;
        }
        Ok(())
    }
}

fn is_alive(connection: &Connection, owner: OwnerId) -> Result<bool> {
    let found = connection.query(IS_ALIVE, &[owner.as_i64().into()])?;
    Ok(!found.is_empty())
}

fn hear(store: &Weak<Shared>, at: Duration) {
    if let Some(shared) = store.upgrade() {
        shared.commons().session.state.lock().heard = at;
    }
}

/// Until the store is closed, or the connection lost: then this process is another owner from the next claim on.
fn listen(connection: &Connection, store: &Weak<Shared>, clock: &ServerClock, me: OwnerId) {
    let mut last = uptime();
    connection.allow(Duration::ZERO);
    loop {
        let mut heard = connection.messages(TICK);
        if uptime().saturating_sub(last) >= BEAT {
            last = uptime();
            match clock.ask(connection) {
                Ok(()) => hear(store, last),
                Err(error) => heard = heard.and(Err(error)),
            }
        }
        let Some(shared) = store.upgrade() else {
            // In good order.
            for sql in [LEAVE_OFF, LEAVE] {
                let _ = connection.execute(sql, &[me.as_i64().into()]);
            }
            return;
        };
        let Ok(messages) = heard else {
            let mut state = shared.commons().session.state.lock();
            if state.me.is_some_and(|(_, known)| known == me) {
                state.me = None;
            }
            drop(state);
            for line in 0..Doorbell::LINES {
                shared.commons().bell.ring(line);
            }
            return;
        };
        Postgres::of(Arc::clone(&shared)).take_back(connection);
        for message in messages {
            let AsyncMessage::Notification(said) = message else {
                continue;
            };
            if said.payload() == JOINED {
                let watcher = shared.commons().session.state.lock().watcher;
                if let Some(watcher) = watcher {
                    let watcher = [i64::from(watcher).into()];
                    let _ = connection.query(CANCEL, &watcher);
                }
            } else if let Some(line) = Rope::line(said.payload(), me) {
                shared.commons().bell.ring(line);
            }
        }
    }
}

/// Waits for the owner before this one to die, as long as this one lives.
fn watch(store: &Weak<Shared>, me: OwnerId) {
    let mut pause = FIRST_PAUSE;
    let mut connection = None;
    let mut last = None;
    loop {
        let Some(shared) = store.upgrade() else {
            return;
        };
        if !matches!(shared.commons().session.state.lock().me, Some((_, known)) if known == me) {
            return;
        }
        let postgres = Postgres::of(shared);
        let next = match connection.take() {
            Some(connection) => Ok(connection),
            None => postgres.open_another(),
        };
        let watched = next.and_then(|next| {
            // Alone, it waits for its own session to end.
            let before = postgres.settle_the_dead(&next, me)?.unwrap_or(me);
            postgres.home().session.state.lock().watcher = Some(next.number()?);
            Ok((next, before))
        });
        drop(postgres);
        match watched {
            Ok((next, before)) => {
                // Who joins just before the wait begins is seen soon, too.
                let time = if last == Some(before) {
                    LOOK
                } else {
                    FIRST_LOOK
                };
                last = Some(before);
                let _ = wait_for_end(&next, before, time);
                connection = Some(next).filter(Connection::is_open);
                pause = FIRST_PAUSE;
            }
            Err(_) => {
                clock::sleep(pause);
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

/// Until he is dead, or it is time to look who else has come.
fn wait_for_end(connection: &Connection, owner: OwnerId, time: Duration) -> Result<()> {
    let breath = time.min(BREATH).as_millis();
    let (owner, breaths) = (owner.as_i64(), time.as_millis() / breath);
    connection.allow(time);
    connection.batch(&format!("SET lock_timeout = {breath}"))?;
    connection.batch(&format!(
        "DO $$ BEGIN
            FOR breath IN 1..{breaths} LOOP
                BEGIN
                    PERFORM pg_advisory_lock_shared({owner});
                    PERFORM pg_advisory_unlock_shared({owner});
                    EXIT;
                EXCEPTION WHEN lock_not_available THEN
                END;
                COMMIT;
            END LOOP;
        END $$"
    ))
}
