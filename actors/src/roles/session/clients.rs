//! Who is attached to a session, how far each has read, and which of them drives: sets the size and answers
//! the questions of programs.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::entry::TerminalSize;

/// Clients of one session; each costs a few hundred KiB when it does not read.
const MAX_CLIENTS: usize = 64;

/// How a client comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Where it goes on; none: with the screen.
    pub offset: Option<u64>,
    /// It never types and sets no size.
    pub readonly: bool,
}

/// Why a client cannot come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The terminal has not written so much.
    #[error("{offset} is beyond what the terminal has written; allowed: 0 to {end}")]
    Beyond {
        /// What was asked for.
        offset: u64,
        /// Where output ends now.
        end: u64,
    },
    /// There are as many clients as there may be.
    #[error("{0} clients are attached to the session, as many as there may be")]
    TooMany(usize),
}

/// All clients of one session.
#[derive(Default)]
pub(super) struct Clients {
    attached: BTreeMap<u64, Client>,
    last_id: u64,
    driver: Option<u64>,
}

struct Client {
    offset: u64,
    readonly: bool,
    size: Option<TerminalSize>,
    /// Which of them typed last: the highest.
    typed: u64,
}

impl Clients {
    /// Adds one to a session whose output is kept from `start` to `end`. Returns its id and where it goes on.
    pub(super) fn add(
        &mut self,
        options: AttachOptions,
        start: u64,
        end: u64,
    ) -> Result<(u64, u64), AttachError> {
        if self.attached.len() >= MAX_CLIENTS {
            return Err(AttachError::TooMany(MAX_CLIENTS));
        }
        if let Some(offset) = options.offset.filter(|offset| *offset > end) {
            return Err(AttachError::Beyond { offset, end });
        }
        let offset = options.offset.map_or(start, |offset| offset.max(start));
        self.last_id += 1;
        let client = Client { offset, readonly: options.readonly, size: None, typed: 0 };
        self.attached.insert(self.last_id, client);
        self.choose_driver();
        Ok((self.last_id, offset))
    }

    /// Takes one away. True if another drives now, or nobody.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        self.attached.remove(&id);
        let drove = self.driver == Some(id);
        if drove {
            self.choose_driver();
        }
        drove
    }

    /// One has bytes up to here.
    pub(super) fn has_read(&mut self, id: u64, offset: u64) {
        if let Some(client) = self.attached.get_mut(&id) {
            client.offset = offset;
        }
    }

    /// One has typed, and drives from now on. `None`: it is not attached; else true if another drove until now.
    pub(super) fn has_typed(&mut self, id: u64) -> Option<bool> {
        let last = self.attached.values().map(|client| client.typed).max().unwrap_or(0);
        self.attached.get_mut(&id)?.typed = last + 1;
        Some(self.driver.replace(id) != Some(id))
    }

    /// The window of one has this size. True if it drives.
    pub(super) fn has_resized(&mut self, id: u64, size: TerminalSize) -> bool {
        if let Some(client) = self.attached.get_mut(&id).filter(|client| !client.readonly) {
            client.size = Some(size);
        }
        self.driver == Some(id)
    }

    pub(super) fn len(&self) -> usize {
        self.attached.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// True if this one never types.
    pub(super) fn is_readonly(&self, id: u64) -> bool {
        self.attached.get(&id).is_none_or(|client| client.readonly)
    }

    /// The one that sets the size and answers questions.
    pub(super) fn driver(&self) -> Option<u64> {
        self.driver
    }

    /// The size that the one that drives has asked for.
    pub(super) fn wanted_size(&self) -> Option<TerminalSize> {
        self.attached.get(&self.driver?)?.size
    }

    /// How far the slowest has read; none: nobody is attached.
    pub(super) fn slowest(&self) -> Option<u64> {
        self.attached.values().map(|client| client.offset).min()
    }

    /// How far the fastest has read; none: nobody is attached.
    pub(super) fn fastest(&self) -> Option<u64> {
        self.attached.values().map(|client| client.offset).max()
    }

    /// Of those who may type: the one who typed last, else the one who came first.
    fn choose_driver(&mut self) {
        let may_type = self.attached.iter().filter(|(_, client)| !client.readonly);
        let last = may_type.max_by_key(|(id, client)| (client.typed, Reverse(**id)));
        self.driver = last.map(|(id, _)| *id);
    }
}
