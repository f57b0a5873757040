//! Which differences are told.

use super::*;

fn totals() -> StreamTotals {
    StreamTotals { chunks: 3, bytes: 10, sha256: "ab".to_owned(), complete: true, truncated: false }
}

fn row() -> Row {
    Row {
        node_ref: "n".parse().unwrap(),
        stream: StreamName::Pty,
        state: "complete".to_owned(),
        reason: None,
        chunk_count: 3,
        byte_count: 10,
        sha256: Some("ab".to_owned()),
        purged_at: None,
    }
}

fn checked(bytes: u64, sha256: &str) -> Checked {
    Checked {
        node_ref: Some("n".parse().unwrap()),
        stream: Some(StreamName::Pty),
        file: None,
        state: "complete".to_owned(),
        chunks: 3,
        bytes,
        sha256: sha256.to_owned(),
        problems: Vec::new(),
    }
}

#[test]
fn every_witness_is_heard() {
    let (good, right) = (checked(10, "ab"), totals());
    let told = |checked: &Checked, row: Option<&Row>, totals: &StreamTotals, last| {
        problems(checked, row, Some(totals), last)
    };
    let last = Some(&right);
    assert!(told(&good, Some(&row()), &right, last).is_empty());
    let incomplete = Row { state: "incomplete".into(), reason: Some("gap".into()), ..row() };
    let cases = [
        (told(&checked(9, "ab"), Some(&row()), &right, last), "9 bytes instead of 10"),
        (told(&checked(10, "cd"), Some(&row()), &right, last), "sha256 cd instead of ab"),
        (told(&good, None, &right, last), "not archived"),
        (told(&good, Some(&incomplete), &right, last), "it is incomplete (gap)"),
        (told(&good, Some(&row()), &right, None), "last chunk"),
        (told(&good, Some(&Row { chunk_count: 2, ..row() }), &right, last), "the archive counted"),
        (problems(&good, Some(&row()), None, None), "has not ended"),
    ];
    for (problems, said) in cases {
        assert_eq!(problems.len(), 1, "{said}: {problems:?}");
        assert!(problems[0].contains(said), "{said}: {problems:?}");
    }
    let lost = StreamTotals { complete: false, ..totals() };
    let problems = told(&good, Some(&row()), &lost, Some(&lost));
    assert!(problems[0].contains("did not write its end"), "{problems:?}");
}
