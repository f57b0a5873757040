use std::sync::Arc;

use super::*;
use crate::testing::{
    instances_conformance, recordings_conformance, sessions_conformance, store_conformance,
};

#[tokio::test]
async fn it_keeps_the_contract_of_the_port() {
    store_conformance::check(|_| async { Arc::new(MemoryStore::new()) as Arc<dyn RunStore> }).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_recordings() {
    recordings_conformance::check(|_| async { Arc::new(MemoryStore::new()) }).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_instances() {
    instances_conformance::check(Arc::new(MemoryStore::new())).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_sessions() {
    sessions_conformance::check(|_| async { Arc::new(MemoryStore::new()) }).await;
}

#[tokio::test]
async fn it_can_be_away() {
    let store = MemoryStore::new();
    store.set_unavailable(true);
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    store.set_unavailable(false);
    assert!(store.ping().await.is_ok());
}
