//! Random entries for property tests.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use crate::entry::{
    Body, Chunk, ChunkKind, Entry, Exit, Level, ProcessEnd, RunnerKind, StreamTotals, TerminalSize,
    TraceEvent, TraceKind,
};
use crate::ids::{ChunkIndex, NodeRef, Seq, StreamName};
use crate::moment::Timestamp;

fn any_node_ref() -> impl Strategy<Value = NodeRef> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,20}"
        .prop_map(|name| name.parse().expect("the pattern is the rule"))
}

fn any_chunk_kind() -> impl Strategy<Value = ChunkKind> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..2000).prop_map(|bytes| ChunkKind::Output(Bytes::from(bytes))),
        1 => prop::collection::vec(any::<u8>(), 0..50).prop_map(|bytes| ChunkKind::Input(Bytes::from(bytes))),
        1 => (1_u16..1000, 1_u16..500).prop_map(|(cols, rows)| ChunkKind::Resize(TerminalSize { cols, rows })),
        1 => any::<String>().prop_map(ChunkKind::Marker),
        1 => any::<u32>().prop_map(|bytes| ChunkKind::Gap(json!({ "bytes": bytes }))),
        1 => (any::<i32>(), any::<u64>()).prop_map(|(code, bytes)| ChunkKind::Exit(Exit {
            end: if code % 2 == 0 { ProcessEnd::Code(code) } else { ProcessEnd::Signal(9) },
            totals: StreamTotals { chunks: 3, bytes, sha256: "00".repeat(32), complete: true, truncated: code > 0 },
        })),
    ]
}

fn any_body() -> impl Strategy<Value = Body> {
    let terminal = (any_node_ref(), any_chunk_kind(), any::<u32>(), 0_u64..1 << 50, 0_u64..1 << 50)
        .prop_map(|(node_ref, kind, index, delta_us, at_us)| {
            Body::Terminal(Chunk {
                node_ref,
                stream: StreamName::Pty,
                index: ChunkIndex(u64::from(index)),
                kind,
                recorded_at: Timestamp(1_795_000_000_000_000 + i64::from(index)),
                delta_us,
                at_us,
                origin: "instance-1".into(),
                runner_kind: RunnerKind::Local,
            })
        });
    let trace = (any::<String>(), any::<u16>()).prop_map(|(message, millis)| {
        Body::Trace(Box::new(TraceEvent {
            node_ref: None,
            kind: TraceKind::NodeProgress,
            level: Level::Info,
            message,
            error: None,
            output_summary: None,
            data: Some(json!({ "percent": millis })),
            timestamp: Timestamp(1_795_000_000_000_000 + i64::from(millis) * 1000),
        }))
    });
    prop_oneof![5 => terminal, 1 => trace]
}

/// Any entry that could stand in a log.
pub fn any_entry() -> impl Strategy<Value = Entry> {
    (1_u64..1 << 53, any_body()).prop_map(|(seq, body)| Entry { seq: Seq(seq), body })
}
