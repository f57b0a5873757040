//! What every [`SessionStore`] must do, as one suite that each adapter runs against itself.

use std::sync::Arc;
use std::time::Duration;

use super::instances_conformance::instance;
use crate::entry::TerminalSize;
use crate::ids::TenantId;
use crate::moment::Timestamp;
use crate::ports::{
    InstanceStore, SessionClaim, SessionQuery, SessionRow, SessionStore, StoredScreen,
};
use crate::sessions::{EndReason, SessionId, SessionState, SessionView};

const LIMIT: u32 = 100;
const LONG: Duration = Duration::from_secs(3600);

/// A session of the instance `one` that lives, created so many milliseconds after the first.
pub fn session(name: &str, created_ms: i64) -> SessionRow {
    let created_at = Timestamp(1_700_000_000_000_000 + created_ms * 1000);
    let view = SessionView {
        id: format!("session_1700000000000_{name:x<8}").parse().expect("an id"),
        project_id: "project".parse().expect("a name"),
        user_id: Some("ada".to_owned()),
        profile: "system".to_owned(),
        tab_name: "tab".to_owned(),
        state: SessionState::Active,
        active: true,
        current_path: "/srv".to_owned(),
        project_path: Some("/srv".to_owned()),
        pid: Some(4711),
        cols: 80,
        rows: 24,
        created_at,
        last_activity: created_at,
        persisted: true,
        attached: 0,
        restored_from: Some(SessionId::generate(created_at)),
        instance: "one".parse().expect("a name"),
        reason: None,
        message: None,
        exit_code: None,
        signal: None,
        ended_at: None,
    };
    SessionRow { tenant: TenantId::default_tenant(), view, screen: None }
}

fn ended(mut row: SessionRow, at_ms: i64) -> SessionRow {
    row.view.state = SessionState::Terminated;
    row.view.active = false;
    row.view.pid = None;
    row.view.reason = Some(EndReason::Exited);
    row.view.exit_code = Some(3);
    row.view.signal = Some(9);
    row.view.message = Some("over".to_owned());
    row.view.ended_at = Some(Timestamp(1_700_000_000_000_000 + at_ms * 1000));
    row
}

fn all() -> SessionQuery {
    SessionQuery { tenant: None, project: None, active: None, limit: LIMIT }
}

async fn ids(store: &dyn SessionStore, query: &SessionQuery) -> Vec<String> {
    let rows = store.list(query).await.expect("the store answers");
    rows.iter()
        .map(|row| row.view.id.as_str().rsplit('_').next().unwrap_or("").to_owned())
        .collect()
}

/// Runs every check, each on an empty store.
pub async fn check<S, Fut>(fresh: impl Fn(usize) -> Fut)
where
    S: SessionStore + InstanceStore + 'static,
    Fut: Future<Output = Arc<S>>,
{
    a_key_has_one_live_session(&*fresh(0).await).await;
    rows_come_back_as_they_were(&*fresh(1).await).await;
    lists_are_filtered(&*fresh(2).await).await;
    what_nothing_runs_behind_is_ended(&*fresh(3).await).await;
    twins_of_an_outage_are_both_kept(&*fresh(4).await).await;
}

async fn a_key_has_one_live_session(store: &dyn SessionStore) {
    let first = session("first", 0);
    let claim = store.claim(&first).await.expect("the store answers");
    assert_eq!(claim, SessionClaim::Taken { before: None });
    // The same again, for one whose answer was lost.
    let again = store.claim(&first).await.expect("the store answers");
    assert_eq!(again, SessionClaim::Taken { before: None });
    let second = session("second", 10);
    let held = store.claim(&second).await.expect("the store answers");
    assert_eq!(held, SessionClaim::Held(Box::new(first.clone())));
    let mut others =
        [second.clone(), second.clone(), second.clone(), second.clone(), second.clone()];
    others[0].view.user_id = None;
    "other".clone_into(&mut others[1].view.tab_name);
    "claude".clone_into(&mut others[2].view.profile);
    others[3].view.project_id = "other".parse().expect("a name");
    others[4].tenant = "other".parse().expect("a name");
    for (place, other) in others.iter_mut().enumerate() {
        other.view.id = session(&format!("other{place}"), 0).view.id;
        let claim = store.claim(other).await.expect("the store answers");
        assert_eq!(claim, SessionClaim::Taken { before: None }, "{other:?}");
    }
    store.put(&[ended(first.clone(), 20)]).await.expect("the store answers");
    let claim = store.claim(&second).await.expect("the store answers");
    let before = Some(Box::new(ended(first, 20)));
    assert_eq!(claim, SessionClaim::Taken { before });
}

async fn rows_come_back_as_they_were(store: &dyn SessionStore) {
    let row = session("a", 0);
    store.put(std::slice::from_ref(&row)).await.expect("the store answers");
    let found = store.find(&row.tenant, &row.view.id).await.expect("the store answers");
    assert_eq!(found, Some(row.clone()));
    let mut row = ended(row, 50);
    "/elsewhere".clone_into(&mut row.view.current_path);
    (row.view.cols, row.view.rows) = (100, 40);
    let size = TerminalSize { cols: 100, rows: 40 };
    row.screen = Some(StoredScreen { offset: 7, size, payload: b"\x1b[1mbye\xff".to_vec() });
    store.put(std::slice::from_ref(&row)).await.expect("the store answers");
    let found = store.find(&row.tenant, &row.view.id).await.expect("the store answers");
    assert_eq!(found, Some(row.clone()));
    let other = "other".parse().expect("a name");
    assert_eq!(store.find(&other, &row.view.id).await.expect("the store answers"), None);
    let listed = store.list(&all()).await.expect("the store answers");
    assert_eq!(listed, [SessionRow { screen: None, ..row }]);
}

async fn lists_are_filtered(store: &dyn SessionStore) {
    let mut rows =
        vec![session("a", 0), session("b", 1), ended(session("c", 2), 9), session("d", 3)];
    rows[1].view.project_id = "other".parse().expect("a name");
    rows[3].tenant = "other".parse().expect("a name");
    store.put(&rows).await.expect("the store answers");
    let name = |text: &str| format!("{text:x<8}");
    assert_eq!(ids(store, &all()).await, ["d", "c", "b", "a"].map(name));
    let tenant = Some(TenantId::default_tenant());
    let query = SessionQuery { tenant, ..all() };
    assert_eq!(ids(store, &query).await, ["c", "b", "a"].map(name));
    let query = SessionQuery { active: Some(true), ..query };
    assert_eq!(ids(store, &query).await, ["b", "a"].map(name));
    let query = SessionQuery { project: Some("other".parse().expect("a name")), ..query };
    assert_eq!(ids(store, &query).await, ["b"].map(name));
    assert_eq!(ids(store, &SessionQuery { active: Some(false), ..all() }).await, ["c"].map(name));
    assert_eq!(ids(store, &SessionQuery { limit: 2, ..all() }).await, ["d", "c"].map(name));
    let before = Timestamp(1_700_000_000_000_000 + 10_000);
    assert_eq!(store.forget(before.minus(Duration::from_millis(5))).await.expect("it answers"), 0);
    assert_eq!(store.forget(before).await.expect("the store answers"), 1);
    assert_eq!(ids(store, &all()).await, ["d", "b", "a"].map(name));
}

async fn what_nothing_runs_behind_is_ended<S: SessionStore + InstanceStore>(store: &S) {
    let mut rows = vec![session("a", 0), session("b", 100), session("c", 0), session("d", 0)];
    for (place, row) in rows.iter_mut().enumerate() {
        row.view.tab_name = place.to_string();
    }
    rows[2].view.instance = "two".parse().expect("a name");
    rows[3].view.instance = "gone".parse().expect("a name");
    rows[0].screen = Some(StoredScreen {
        offset: 1,
        size: TerminalSize { cols: 80, rows: 24 },
        payload: b"$ ".to_vec(),
    });
    store.put(&rows).await.expect("the store answers");
    store.enter(&instance("two")).await.expect("the store answers");
    let one = "one".parse().expect("a name");
    let born = rows[1].view.created_at;
    assert_eq!(store.end_lost(&one, born, LONG).await.expect("the store answers"), 2);
    assert_eq!(store.end_lost(&one, born, LONG).await.expect("the store answers"), 0);
    for (place, is_lost) in [(0, true), (1, false), (2, false), (3, true)] {
        let id = &rows[place].view.id;
        let row = store.find(&rows[place].tenant, id).await.expect("it answers").expect("there");
        assert_eq!(row.view.active, !is_lost, "{place}");
        if is_lost {
            assert_eq!(row.view.state, SessionState::Terminated);
            assert_eq!(row.view.reason, Some(EndReason::Restarted));
            assert!(row.view.ended_at.is_some() && row.view.pid.is_none());
            assert_eq!(row.screen, rows[place].screen, "the last screen is still there");
        }
    }
}

async fn twins_of_an_outage_are_both_kept(store: &dyn SessionStore) {
    let (first, mut twin) = (session("first", 0), session("twin", 5));
    twin.view.instance = "two".parse().expect("a name");
    store.claim(&first).await.expect("the store answers");
    store.put(std::slice::from_ref(&twin)).await.expect("the store answers");
    store.put(std::slice::from_ref(&first)).await.expect("the store answers");
    assert_eq!(ids(store, &all()).await.len(), 2);
    store.put(&[ended(twin, 9)]).await.expect("the store answers");
    assert_eq!(ids(store, &SessionQuery { active: Some(true), ..all() }).await.len(), 1);
}
