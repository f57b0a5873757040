//! What a process writes, read without blocking: a terminal, a pipe, or the file of its events.
//!
//! Nothing is read ahead. A descriptor is drained up to the caller's limit in one turn, because a
//! terminal hands out at most 4 KiB a read.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use runcast_actors::ports::Output;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An output on a descriptor that is shared with whoever else needs it open.
pub struct FdOutput {
    fd: AsyncFd<Arc<OwnedFd>>,
    ended: bool,
}

impl FdOutput {
    /// Reads from `fd`, which becomes non-blocking. Needs the runtime that will read.
    pub fn new(fd: Arc<OwnedFd>) -> io::Result<Self> {
        fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        Ok(Self { fd: watch_readable(fd)?, ended: false })
    }
}

#[async_trait(?Send)]
impl Output for FdOutput {
    async fn readable(&mut self) -> io::Result<()> {
        if !self.ended {
            // The readiness is left as it is: `try_read` clears it when it finds nothing.
            self.fd.readable().await?.retain_ready();
        }
        Ok(())
    }

    fn try_read(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<Option<usize>> {
        if limit == 0 {
            return Ok(None);
        }
        buffer.reserve(limit);
        let mut len = 0;
        let mut result = Ok(());
        while len < limit && !self.ended {
            match self.fd.try_io(Interest::READABLE, |fd| read(fd, buffer, limit - len)) {
                Ok(0) => self.ended = true,
                Ok(count) => len += count,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        match result {
            // What was read counts; an error that lasts comes again at the next call.
            _ if len > 0 => Ok(Some(len)),
            Ok(()) => Ok(Some(0)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Watches a descriptor with the reactor of this thread's runtime.
#[allow(unsafe_code)]
pub(super) fn watch_readable(fd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the `Arc` keeps this one descriptor open for as long as the `AsyncFd` holds it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? })
}

/// One read that was not interrupted, of at most `limit` bytes into the reserved room behind the buffer.
/// The master of a terminal whose last user has gone says EIO: that is its end.
#[allow(unsafe_code)]
fn read(fd: impl AsFd, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
    loop {
        let spare = buffer.spare_capacity_mut();
        let most = spare.len().min(limit);
        match rustix::io::read(fd.as_fd(), &mut spare[..most]) {
            Err(Errno::INTR) => {}
            Err(Errno::IO) => return Ok(0),
            Err(error) => return Err(error.into()),
            Ok((filled, _)) => {
                let count = filled.len();
                // The room is not zeroed first: it is mostly larger than what one read gives.
                // SAFETY: the read has filled `count` bytes from the end of the buffer on.
                unsafe { buffer.set_len(buffer.len() + count) };
                return Ok(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_read_takes_the_limit_and_says_nothing_and_end_apart() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut writer = File::from(writer);
        let mut output = FdOutput::new(Arc::new(reader)).unwrap();
        let mut buffer = BytesMut::from(&b"> "[..]);
        writer.write_all(b"abcdef").unwrap();
        output.readable().await.unwrap();
        assert_eq!(output.try_read(&mut buffer, 4).unwrap(), Some(4));
        output.readable().await.unwrap();
        assert_eq!(output.try_read(&mut buffer, 4).unwrap(), Some(2));
        assert_eq!(output.try_read(&mut buffer, 4).unwrap(), None);
        assert_eq!(&buffer[..], b"> abcdef");
        drop(writer);
        output.readable().await.unwrap();
        assert_eq!(output.try_read(&mut buffer, 4).unwrap(), Some(0));
        output.readable().await.unwrap();
        assert_eq!(output.try_read(&mut buffer, 4).unwrap(), Some(0));
        assert_eq!(&buffer[..], b"> abcdef");
    }

    #[tokio::test]
    async fn a_drained_output_waits_for_more() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut output = FdOutput::new(Arc::new(reader)).unwrap();
        let mut buffer = BytesMut::new();
        File::from(writer.try_clone().unwrap()).write_all(b"x").unwrap();
        output.readable().await.unwrap();
        assert_eq!(output.try_read(&mut buffer, 100).unwrap(), Some(1));
        assert!(futures_util::poll!(output.readable()).is_pending());
    }
}
