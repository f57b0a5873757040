//! Which failures of the database pass by themselves and which do not.

use std::time::Duration;

use runcast_actors::ports::StoreError;
use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// What a failed statement means to the caller.
pub(super) fn store_error(error: &DbErr) -> StoreError {
    if is_transient(error) {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Broken(error.to_string())
    }
}

/// A stored value that no version of this service writes.
pub(super) fn broken(what: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Broken(format!("{what} is not readable: {value}"))
}

/// A call that took longer than it may.
pub(super) fn timed_out(limit: Duration) -> StoreError {
    StoreError::Unavailable(format!("no answer within {} ms", limit.as_millis()))
}

fn is_transient(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            is_transient_driver_error(error)
        }
        _ => false,
    }
}

fn is_transient_driver_error(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => true,
        SqlxError::Database(error) => error.code().is_some_and(|code| is_transient_code(&code)),
        _ => false,
    }
}

/// SQLite's result codes (<https://sqlite.org/rescode.html>) and PostgreSQL's SQLSTATEs, which have five characters.
fn is_transient_code(code: &str) -> bool {
    const SQLITE: [u32; 6] = [5, 6, 9, 10, 13, 14]; // busy, locked, interrupt, I/O, full, cannot open
    const POSTGRES_CLASSES: [&str; 4] = ["08", "53", "57", "58"]; // connection, resources, operator, system
    // Serialization, deadlock, lock, idle; read-only, as a standby answers before a failover is over.
    const POSTGRES: [&str; 5] = ["40001", "40P01", "55P03", "25P03", "25006"];
    if code.len() == 5 {
        return POSTGRES.contains(&code)
            || POSTGRES_CLASSES.iter().any(|class| code.starts_with(class));
    }
    // The low byte of an extended code is the primary one.
    code.parse::<u32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_pass_are_told_from_those_that_do_not() {
        for code in [
            "5", "6", "261", "517", "10", "08006", "53300", "57014", "57P01", "57P03", "25P03",
            "40001", "25006",
        ] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["1", "11", "19", "1555", "2067", "23505", "42P01", "25001"] {
            assert!(!is_transient_code(code), "{code}");
        }
    }
}
