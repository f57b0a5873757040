//! The ports of the core on [`SqlStore`]: each call is a task with a limit, and owns what it needs.

use std::time::Duration;

use async_trait::async_trait;
use runcast_actors::entry::Entry;
use runcast_actors::ids::{Epoch, InstanceId, RunKey, Seq, StreamKey, TenantId};
use runcast_actors::moment::Timestamp;
use runcast_actors::ports::{
    Annotation, ArchiveBatch, CancelRequest, Claim, EncoderStates, Instance, InstanceStore, Lease,
    ObjectKey, Purged, RecordBatch, Recording, RecordingStore, RunList, RunQuery, RunStore, Seen,
    SeenInstance, Segment, SessionClaim, SessionQuery, SessionRow, SessionStore, StoreError,
    StoredRun, Submission, Submitted, TraceQuery,
};
use runcast_actors::sessions::SessionId;
use sea_orm::ConnectionTrait;

use super::error::store_error;
use super::lease::Queued;
use super::{
    SqlStore, instances, lease, purge, query, record, recordings, segments, sessions, submit,
};

#[async_trait]
impl RunStore for SqlStore {
    async fn submit(&self, submission: Submission) -> Result<Submitted, StoreError> {
        self.limited(async move |store| submit::submit(&store, &submission).await).await
    }

    async fn submit_owned(
        &self,
        submission: Submission,
        owner: &InstanceId,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let owner = owner.clone();
        self.limited(async move |store| {
            submit::submit_owned(&store, &submission, &owner, lease).await
        })
        .await
    }

    async fn find(&self, run: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        let run = run.clone();
        self.limited(async move |store| query::find(&store, &run).await).await
    }

    async fn list(&self, query: &RunQuery) -> Result<RunList, StoreError> {
        let query = query.clone();
        self.limited(async move |store| query::list(&store, &query).await).await
    }

    async fn history(
        &self,
        run: &RunKey,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let run = run.clone();
        self.limited(async move |store| query::history(&store, &run, after, limit).await).await
    }

    async fn traces(&self, run: &RunKey, query: &TraceQuery) -> Result<Vec<Entry>, StoreError> {
        let run = run.clone();
        let query = query.clone();
        self.limited(async move |store| query::traces(&store, &run, &query).await).await
    }

    async fn claim(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        let owner = owner.clone();
        self.limited(async move |store| {
            lease::claim(&store, &owner, lease, limit, Queued::Any).await
        })
        .await
    }

    async fn claim_cancelled(
        &self,
        owner: &InstanceId,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        let owner = owner.clone();
        self.limited(async move |store| {
            lease::claim(&store, &owner, lease, limit, Queued::Cancelled).await
        })
        .await
    }

    async fn renew(
        &self,
        owner: &InstanceId,
        lease: Duration,
        runs: &[(RunKey, Epoch)],
    ) -> Result<Vec<RunKey>, StoreError> {
        let owner = owner.clone();
        let runs = runs.to_vec();
        self.limited(async move |store| lease::renew(&store, &owner, lease, &runs).await).await
    }

    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.limited(async move |store| lease::leases(&store).await).await
    }

    async fn take_over(
        &self,
        run: &RunKey,
        seen: Seen,
        owner: &InstanceId,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let run = run.clone();
        let owner = owner.clone();
        self.limited(async move |store| lease::take_over(&store, &run, seen, &owner, lease).await)
            .await
    }

    async fn release(&self, run: &RunKey, epoch: Epoch) -> Result<(), StoreError> {
        let run = run.clone();
        self.limited(async move |store| lease::release(&store, &run, epoch).await).await
    }

    async fn record(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: RecordBatch,
    ) -> Result<(), StoreError> {
        let run = run.clone();
        self.limited(async move |store| record::record(&store, &run, epoch, &batch).await).await
    }

    async fn request_cancel(&self, run: &RunKey) -> Result<CancelRequest, StoreError> {
        let run = run.clone();
        self.limited(async move |store| lease::request_cancel(&store, &run).await).await
    }

    async fn cancel_requests(&self, owner: &InstanceId) -> Result<Vec<RunKey>, StoreError> {
        let owner = owner.clone();
        self.limited(async move |store| lease::cancel_requests(&store, &owner).await).await
    }

    async fn annotate(&self, run: &RunKey, annotation: Annotation) -> Result<bool, StoreError> {
        let run = run.clone();
        self.limited(async move |store| submit::annotate(&store, &run, &annotation).await).await
    }

    async fn purge(&self, run: &RunKey) -> Result<Purged, StoreError> {
        let run = run.clone();
        self.limited(async move |store| purge::purge(&store, &run).await).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.limited(async |store| {
            let answer = store.read.query_one_raw(store.statement("SELECT 1", Vec::new())).await;
            answer.map(drop).map_err(|error| store_error(&error))
        })
        .await
    }
}

#[async_trait]
impl InstanceStore for SqlStore {
    async fn enter(&self, me: &Instance) -> Result<(), StoreError> {
        let me = me.clone();
        self.limited(async move |store| instances::enter(&store, &me).await).await
    }

    async fn announce(&self, me: &Instance) -> Result<(), StoreError> {
        let me = me.clone();
        self.limited(async move |store| instances::announce(&store, &me).await).await
    }

    async fn instances(&self) -> Result<Vec<SeenInstance>, StoreError> {
        self.limited(async move |store| instances::instances(&store).await).await
    }

    async fn leave(&self, me: &InstanceId) -> Result<(), StoreError> {
        let me = me.clone();
        self.limited(async move |store| instances::leave(&store, &me).await).await
    }
}

#[async_trait]
impl RecordingStore for SqlStore {
    async fn has_objects(&self) -> Result<bool, StoreError> {
        self.limited(async move |store| segments::has_objects(&store).await).await
    }

    async fn recordings(&self, run: &RunKey) -> Result<Vec<Recording>, StoreError> {
        let run = run.clone();
        self.limited(async move |store| recordings::recordings(&store, &run).await).await
    }

    async fn encoder_states(&self, run: &RunKey) -> Result<EncoderStates, StoreError> {
        let run = run.clone();
        self.limited(async move |store| recordings::encoder_states(&store, &run).await).await
    }

    async fn recording(
        &self,
        run: &RunKey,
        stream: &StreamKey,
    ) -> Result<Option<Recording>, StoreError> {
        let run = run.clone();
        let stream = stream.clone();
        self.limited(async move |store| recordings::recording(&store, &run, &stream).await).await
    }

    async fn segments(
        &self,
        run: &RunKey,
        stream: Option<&StreamKey>,
        after: Seq,
        limit: u32,
    ) -> Result<(Seq, Vec<Segment>), StoreError> {
        let run = run.clone();
        let stream = stream.cloned();
        self.limited(async move |store| {
            segments::segments(&store, &run, stream.as_ref(), after, limit).await
        })
        .await
    }

    async fn unknown(&self, objects: &[ObjectKey]) -> Result<Vec<ObjectKey>, StoreError> {
        let objects = objects.to_vec();
        self.limited(async move |store| segments::unknown(&store, &objects).await).await
    }

    async fn archive(
        &self,
        run: &RunKey,
        epoch: Epoch,
        batch: ArchiveBatch,
    ) -> Result<(), StoreError> {
        let run = run.clone();
        self.limited(async move |store| recordings::archive(&store, &run, epoch, &batch).await)
            .await
    }

    async fn finalise(
        &self,
        run: &RunKey,
        epoch: Epoch,
        recording: Recording,
        whole: Option<Segment>,
    ) -> Result<(), StoreError> {
        let run = run.clone();
        self.limited(async move |store| {
            recordings::finalise(&store, &run, epoch, &recording, whole.as_ref()).await
        })
        .await
    }

    async fn mark_damaged(&self, run: &RunKey, stream: &StreamKey) -> Result<(), StoreError> {
        let run = run.clone();
        let stream = stream.clone();
        self.limited(async move |store| recordings::mark_damaged(&store, &run, &stream).await).await
    }

    async fn superseded(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<ObjectKey>, StoreError> {
        self.limited(async move |store| segments::superseded(&store, before, limit).await).await
    }

    async fn forget_superseded(&self, objects: &[ObjectKey]) -> Result<(), StoreError> {
        let objects = objects.to_vec();
        self.limited(async move |store| segments::forget_superseded(&store, &objects).await).await
    }

    async fn expired(&self, before: Timestamp, limit: u32) -> Result<Vec<RunKey>, StoreError> {
        self.limited(async move |store| recordings::expired(&store, before, limit).await).await
    }

    async fn expire(&self, run: &RunKey) -> Result<(), StoreError> {
        let run = run.clone();
        self.limited(async move |store| recordings::expire(&store, &run).await).await
    }

    async fn forget_objects(&self, run: &RunKey) -> Result<(), StoreError> {
        let run = run.clone();
        self.limited(async move |store| recordings::forget_objects(&store, &run).await).await
    }
}

#[async_trait]
impl SessionStore for SqlStore {
    async fn claim(&self, row: &SessionRow) -> Result<SessionClaim, StoreError> {
        let row = row.clone();
        self.limited(async move |store| sessions::claim(&store, &row).await).await
    }

    async fn put(&self, rows: &[SessionRow]) -> Result<(), StoreError> {
        let rows = rows.to_vec();
        self.limited(async move |store| sessions::put(&store, &rows).await).await
    }

    async fn find(
        &self,
        tenant: &TenantId,
        id: &SessionId,
    ) -> Result<Option<SessionRow>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.limited(async move |store| sessions::find(&store, &tenant, &id).await).await
    }

    async fn list(&self, query: &SessionQuery) -> Result<Vec<SessionRow>, StoreError> {
        let query = query.clone();
        self.limited(async move |store| sessions::list(&store, &query).await).await
    }

    async fn end_lost(
        &self,
        instance: &InstanceId,
        born: Timestamp,
        absent_for: Duration,
    ) -> Result<u64, StoreError> {
        let instance = instance.clone();
        self.limited(async move |store| {
            sessions::end_lost(&store, &instance, born, absent_for).await
        })
        .await
    }

    async fn forget(&self, ended_before: Timestamp) -> Result<u64, StoreError> {
        self.limited(async move |store| sessions::forget(&store, ended_before).await).await
    }
}
