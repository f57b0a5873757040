//! What supervision adds for actors: addresses, declared ends, and the way they are stopped.

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, Running,
    WrapFuture,
};
use futures_util::future::join;

use super::*;

/// An actor that counts what it is told, breaks on demand and takes a second to stop.
struct Counter {
    child: ChildContext,
    count: u32,
    farewell: Duration,
    said_farewell: bool,
}

#[derive(Message)]
#[rtype(result = "u32")]
struct Count;

#[derive(Message)]
#[rtype(result = "()")]
struct Break;

#[derive(Message)]
#[rtype(result = "()")]
struct End(ExitStatus);

impl Actor for Counter {
    type Context = Context<Self>;

    fn stopping(&mut self, context: &mut Self::Context) -> Running {
        if self.said_farewell || self.farewell.is_zero() {
            return Running::Stop;
        }
        self.said_farewell = true;
        context.spawn(sleep(self.farewell).into_actor(self).map(|(), actor, context| {
            actor.child.exit.declare(ExitStatus::Finished);
            context.stop();
        }));
        Running::Continue
    }
}

impl Handler<Count> for Counter {
    type Result = u32;

    fn handle(&mut self, _: Count, _: &mut Self::Context) -> u32 {
        self.count += 1;
        self.count
    }
}

impl Handler<Break> for Counter {
    type Result = ();

    fn handle(&mut self, _: Break, _: &mut Self::Context) {
        panic!("broken at {}", self.count);
    }
}

impl Handler<End> for Counter {
    type Result = ();

    fn handle(&mut self, End(status): End, context: &mut Self::Context) {
        self.child.stop_with(context, status);
    }
}

fn counter(group: &Supervisor, policy: RestartPolicy, farewell: Duration) -> ActorHandle<Counter> {
    let factory = move |child| Counter { child, count: 0, farewell, said_farewell: false };
    group.spawn_actor(&ArbiterHandle::current(), ChildSpec { name: "counter", policy, factory })
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_actor_that_panics_is_built_afresh_at_a_new_address() {
    let (group, observers) = group();
    let actor = counter(&group, restarts(2), Duration::ZERO);
    let first = soon(actor.ready()).await.expect("it runs");
    assert_eq!(soon(first.send(Count)).await.ok(), Some(1));
    assert_eq!(soon(first.send(Count)).await.ok(), Some(2));

    let mut addresses = actor.subscribe();
    // The second one still waits in the mailbox when the actor unwinds; it must not be handled.
    let (broken, _) = soon(join(first.send(Break), first.send(Break))).await;
    assert!(broken.is_err());
    assert!(soon(addresses.wait_for(Option::is_none)).await.is_ok());
    assert!(actor.current().is_none());

    let second = soon(actor.ready()).await.expect("it runs again");
    assert_ne!(first, second);
    assert!(!first.connected());
    assert_eq!(soon(second.send(Count)).await.ok(), Some(1));
    let row = &observers.snapshot()[0];
    assert_eq!(row.last_exit, Some(ExitStatus::Panicked("broken at 2".into())));
    assert_eq!(row.incarnation, 2);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_actor_ends_with_what_it_declared() {
    let (group, _) = group();
    let actor = counter(&group, RestartPolicy::Never, Duration::ZERO);
    let address = soon(actor.ready()).await.expect("it runs");
    assert!(soon(address.send(End(ExitStatus::DownstreamClosed))).await.is_ok());
    assert_eq!(soon(actor.task().ended()).await, ExitStatus::DownstreamClosed);
    assert_eq!(soon(actor.ready()).await.err(), Some(ExitStatus::DownstreamClosed));
    assert!(actor.current().is_none());
    assert!(!group.kill_switch().is_dead());

    let actor = counter(&group, RestartPolicy::Never, Duration::ZERO);
    let address = soon(actor.ready()).await.expect("it runs");
    assert!(soon(address.send(End(ExitStatus::failed("disk full")))).await.is_ok());
    assert_eq!(soon(group.ended()).await, ExitStatus::failed("disk full"));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_stopped_actor_may_finish_within_the_grace() {
    for (farewell, status, took) in [
        (Duration::ZERO, ExitStatus::Stopped, Duration::ZERO),
        (GRACE / 3, ExitStatus::Finished, GRACE / 3),
        (GRACE * 2, ExitStatus::Killed, GRACE),
    ] {
        let (group, _) = group();
        let actor = counter(&group, restarts(2), farewell);
        assert!(soon(actor.ready()).await.is_ok());
        let begin = Instant::now();
        assert_eq!(soon(group.stop()).await, ExitStatus::Stopped);
        assert_eq!(actor.task().status(), Some(status));
        assert!((took..took + 2 * MS).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    }
}

#[test]
fn groups_and_handles_can_be_used_from_any_thread() {
    fn check<T: Send>(_: impl Fn(T)) {}
    fn is_send<T: Send>(_: T) {}
    check(|(group, actor): (Arc<Supervisor>, Arc<ActorHandle<Counter>>)| {
        is_send(group.stop());
        is_send(actor.ready());
        is_send(actor.task().ended());
    });
    check(|pool: Arc<ArbiterPool>| drop(pool));
}
