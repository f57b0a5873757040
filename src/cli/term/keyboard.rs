//! What is typed, with the one key that is not for the program.

use std::io::Read as _;

use tokio::sync::mpsc;

/// Ctrl-], as telnet and virsh have it.
const DETACH: u8 = 0x1d;
pub(super) const DETACH_NAME: &str = "Ctrl-]";
/// Pieces that wait for the connection; more is left in the terminal.
const WAITING: usize = 8;

/// What was typed.
pub(super) enum Typed {
    /// Bytes for the program.
    Bytes(Vec<u8>),
    /// The wish to leave, or nobody types any more.
    Detach,
}

/// Standard input, read by a thread that ends with the process.
pub(super) struct Keyboard(mpsc::Receiver<Vec<u8>>);

impl Keyboard {
    pub(super) fn of_stdin() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        std::thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut bytes) {
                if sender.blocking_send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    pub(super) async fn next(&mut self) -> Typed {
        match self.0.recv().await {
            // A key of its own: in what is pasted the byte is the program's.
            Some(bytes) if bytes == [DETACH] => Typed::Detach,
            Some(bytes) => Typed::Bytes(bytes),
            None => Typed::Detach,
        }
    }
}
