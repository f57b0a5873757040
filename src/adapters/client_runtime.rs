//! Calls of clients whose connections outlast the thread that calls.
//!
//! A socket belongs to the runtime in which it was opened, and so does what drives it. Callers are threads of
//! actors and of HTTP that come, go and may be busy: connections that many share live in one runtime instead.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

/// Runs `call` as a task of `runtime`, so that it goes on at once however busy the caller is. A caller that goes
/// away stops it.
pub(super) async fn apart<C>(runtime: &Handle, call: C) -> Result<C::Output, JoinError>
where
    C: Future<Output: Send> + Send + 'static,
{
    let mut task = Apart(runtime.spawn(call));
    (&mut task.0).await
}

/// A task that nobody needs any more once this is dropped.
struct Apart<T>(JoinHandle<T>);

impl<T> Drop for Apart<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Awaits `call` with its sockets, timers and tasks in `runtime`. The caller only polls it, so one that goes
/// away stops it.
pub(super) fn within<C: Future>(runtime: &Handle, call: C) -> Within<C> {
    Within { runtime: runtime.clone(), call: Some(Box::pin(call)) }
}

/// See [`within`].
pub(super) struct Within<C> {
    runtime: Handle,
    /// None once it has ended.
    call: Option<Pin<Box<C>>>,
}

impl<C: Future> Future for Within<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        let _entered = this.runtime.enter();
        let call = this.call.as_mut().expect("nothing is polled after its end");
        let polled = call.as_mut().poll(context);
        if polled.is_ready() {
            this.call = None;
        }
        polled
    }
}

impl<C> Drop for Within<C> {
    fn drop(&mut self) {
        // A connection that is given back in the middle of a call is cleaned by a task of its own.
        let _entered = self.runtime.enter();
        self.call = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Handle};

    use super::within;

    #[test]
    fn a_call_uses_the_runtime_it_was_given_until_it_is_dropped() {
        struct Last(std::sync::mpsc::Sender<tokio::runtime::Id>);
        impl Drop for Last {
            fn drop(&mut self) {
                let _ = self.0.send(Handle::current().id());
            }
        }
        let clients = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let clients = clients.expect("a runtime");
        let caller = Builder::new_current_thread().build().expect("a runtime without I/O or time");
        let (sender, dropped) = std::sync::mpsc::channel();
        caller.block_on(async {
            let call = within(clients.handle(), async {
                // Only the clients' runtime has these.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
                (listener.is_ok(), Handle::current().id())
            });
            assert_eq!(call.await, (true, clients.handle().id()));
            let last = Last(sender);
            let mut given_up = within(clients.handle(), async move {
                let _last = last;
                std::future::pending::<()>().await;
            });
            assert!(futures_util::poll!(&mut given_up).is_pending());
        });
        assert_eq!(dropped.recv().expect("it was dropped"), clients.handle().id());
    }
}
