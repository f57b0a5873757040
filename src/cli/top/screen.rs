//! The picture: a few figures, and below them tables with what needs attention first.

use console::style;

use super::figures::{ActorKind, Figures, SessionRow, StreamRow};
use crate::cli::text::{bytes, clean, duration, table};

/// Cells of the bar of the memory.
const BAR: u64 = 30;
/// Lines of a table with less than this are left out.
const LEAST_ROWS: usize = 3;

/// The picture, in at most `rows` lines. Rates are those since `before`.
pub(super) fn lines(now: &Figures, before: Option<&Figures>, rows: usize) -> Vec<String> {
    let mut lines = head(now);
    let mut tables = [
        ("sessions", sessions(&now.sessions.sessions)),
        ("viewers", viewers(now, before)),
        ("actors", actors(now, before)),
    ];
    let wanted: Vec<usize> = tables.iter().map(|(_, table)| table.len()).collect();
    for ((title, table), room) in tables.iter_mut().zip(rooms(&wanted, rows, lines.len())) {
        if table.len() <= 1 || room < table.len().min(LEAST_ROWS) {
            continue;
        }
        lines.push(String::new());
        let left_out = table.len().saturating_sub(room);
        table.truncate(room);
        let mut shown = table_lines(table);
        if left_out > 0 {
            let note = format!("  … {left_out} more {title}");
            shown.push(style(note).dim().to_string());
        }
        lines.append(&mut shown);
    }
    lines
}

/// Lines for each table: what the small ones leave goes to the large ones.
fn rooms(wanted: &[usize], rows: usize, taken: usize) -> Vec<usize> {
    let count = wanted.iter().filter(|lines| **lines > 1).count();
    // A blank line above each, and a line below that tells of more.
    let mut left = rows.saturating_sub(taken).saturating_sub(2 * count);
    let mut rooms = vec![0; wanted.len()];
    loop {
        let hungry: Vec<usize> =
            (0..wanted.len()).filter(|place| wanted[*place] > rooms[*place].max(1)).collect();
        if hungry.is_empty() || left < hungry.len() {
            return rooms;
        }
        let share = (left / hungry.len()).min(wanted.iter().max().copied().unwrap_or(0)).max(1);
        for place in hungry {
            let more = share.min(wanted[place] - rooms[place]).min(left);
            rooms[place] += more;
            left -= more;
        }
    }
}

fn table_lines(rows: &[Vec<String>]) -> Vec<String> {
    let text = table(rows);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(head) = lines.first_mut() {
        *head = style(&*head).dim().to_string();
    }
    lines
}

fn head(now: &Figures) -> Vec<String> {
    let (memory, flow) = (&now.memory, &now.stats.streams);
    let performance = &now.stats.performance;
    let mut components: Vec<_> =
        memory.components.iter().filter(|(_, bytes)| **bytes > 0).collect();
    components.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    let components: Vec<String> =
        components.iter().take(4).map(|(name, size)| format!("{name} {}", bytes(**size))).collect();
    let sessions = &now.sessions;
    let errors = format!("{} failed", sessions.errors);
    let errors = if sessions.errors > 0 { style(errors).red() } else { style(errors).dim() };
    let error_rate = format!("{:.1} % failed", performance.error_rate * 100.0);
    let error_rate = if performance.error_rate > 0.0 {
        style(error_rate).red()
    } else {
        style(error_rate).dim()
    };
    vec![
        format!("{}  {}", style(clean(&now.stats.instance)).bold(), now.at),
        format!(
            "memory    {} {} of {}, heap {}, {}",
            bar(memory.rss, memory.limits.soft, memory.limits.hard),
            bytes(memory.rss),
            bytes(memory.limits.hard),
            bytes(memory.heap),
            components.join(", "),
        ),
        format!(
            "runs      {} owned, {}/s in {:.0} chunks/s, archive behind by {}, replica by {}",
            memory.run_count,
            bytes(whole(flow.bytes_per_second)),
            flow.chunks_per_second,
            bytes(flow.archive_backlog_bytes),
            duration(i64::try_from(flow.replica_lag_ms).unwrap_or(i64::MAX).saturating_mul(1000)),
        ),
        format!(
            "sessions  {} active, {} inactive, {errors}, {} in memory; {} viewers of runs",
            sessions.active, sessions.inactive, sessions.total, flow.viewers,
        ),
        format!(
            "requests  {} in 5 min, {:.1} ms on average, {:.1} ms p95, {error_rate}",
            performance.requests, performance.average_response_time, performance.p95_response_time,
        ),
    ]
}

/// What is taken of the hard limit; the soft one is marked.
fn bar(rss: u64, soft: u64, hard: u64) -> String {
    let cells = |bytes: u64| (bytes.saturating_mul(BAR) / hard.max(1)).min(BAR);
    let (full, mark) = (cells(rss), cells(soft));
    let text: String = (0..BAR)
        .map(|cell| match cell {
            cell if cell < full => '█',
            cell if cell == mark => '│',
            _ => '░',
        })
        .collect();
    let styled = style(text);
    let styled = if rss > hard {
        styled.red()
    } else if rss > soft {
        styled.yellow()
    } else {
        styled.green()
    };
    styled.to_string()
}

fn row<const COUNT: usize>(cells: [&str; COUNT]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn sessions(sessions: &[SessionRow]) -> Vec<Vec<String>> {
    let head = ["SESSION", "TYPE", "PROJECT", "TAB", "STATE", "ATTACHED", "IN", "OUT", "IDLE"];
    let mut rows: Vec<&SessionRow> = sessions.iter().collect();
    rows.sort_by_key(|session| (std::cmp::Reverse(session.attached), session.idle_secs));
    let cells = rows.into_iter().map(|session| {
        vec![
            clean(&session.id),
            clean(&session.profile),
            clean(&session.project_id),
            clean(&session.tab_name),
            state(&session.state),
            session.attached.to_string(),
            bytes(session.bytes_in),
            bytes(session.bytes_out),
            duration(i64::try_from(session.idle_secs).unwrap_or(0).saturating_mul(1_000_000)),
        ]
    });
    std::iter::once(row(head)).chain(cells).collect()
}

fn state(state: &str) -> String {
    let text = style(clean(state));
    match state {
        "active" => text.green(),
        "error" => text.red(),
        "inactive" => text.yellow(),
        _ => text.dim(),
    }
    .to_string()
}

fn viewers(now: &Figures, before: Option<&Figures>) -> Vec<Vec<String>> {
    let head = ["VIEWER OF", "BEHIND", "IN BYTES", "READS", "SENT", "SENT/S", "FOR"];
    let mut rows: Vec<&StreamRow> = now.streams.streams.iter().collect();
    rows.sort_by_key(|viewer| std::cmp::Reverse(viewer.lag_seq));
    let cells = rows.into_iter().map(|viewer| {
        let known = before.and_then(|before| before.sent_to(viewer.id));
        let reads = if viewer.reads_history {
            style("history").yellow().to_string()
        } else {
            "memory".to_owned()
        };
        vec![
            clean(&viewer.run_id),
            viewer.lag_seq.to_string(),
            bytes(viewer.lag_bytes),
            reads,
            bytes(viewer.bytes_sent),
            rate(now, before, viewer.bytes_sent, known)
                .map(|rate| bytes(whole(rate)))
                .unwrap_or_default(),
            duration(now.at.0.saturating_sub(viewer.since.0)),
        ]
    });
    std::iter::once(row(head)).chain(cells).collect()
}

fn actors(now: &Figures, before: Option<&Figures>) -> Vec<Vec<String>> {
    let head = ["ACTOR", "NOW", "QUEUE", "HANDLED", "HANDLED/S", "RESTARTS", "LAST END"];
    let mut rows: Vec<&ActorKind> = now.actors.kinds.iter().collect();
    rows.sort_by_key(|kind| {
        let queue = kind.queue_depth.unwrap_or(0);
        (std::cmp::Reverse((kind.restarts, queue, kind.instances)), &kind.kind)
    });
    let cells = rows.into_iter().map(|kind| {
        let known = before.and_then(|before| before.messages_of(&kind.kind));
        let restarts = kind.restarts.to_string();
        let restarts = if kind.restarts > 0 { style(restarts).red().to_string() } else { restarts };
        vec![
            clean(&kind.kind),
            kind.instances.to_string(),
            kind.queue_depth.map(|depth| depth.to_string()).unwrap_or_default(),
            kind.messages.to_string(),
            rate(now, before, kind.messages, known)
                .map(|rate| format!("{rate:.0}"))
                .unwrap_or_default(),
            restarts,
            kind.last_exit.as_deref().map(clean).unwrap_or_default(),
        ]
    });
    std::iter::once(row(head)).chain(cells).collect()
}

#[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
fn rate(now: &Figures, before: Option<&Figures>, count: u64, known: Option<u64>) -> Option<f64> {
    let micros = now.at.0.saturating_sub(before?.at.0);
    let more = count.saturating_sub(known?);
    (micros > 0).then(|| more as f64 * 1e6 / micros as f64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and saturates"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figures(at: &str, messages: u64, kinds: usize) -> Figures {
        let kinds: Vec<_> = (0..kinds)
            .map(|number| {
                json!({ "kind": format!("Kind{number:02}"), "instances": 1, "queueDepth": number,
                    "messages": messages, "restarts": 0, "lastExit": null })
            })
            .collect();
        let look = json!({
            "at": at,
            "stats": {
                "instance": "one\u{1b}[2J",
                "performance": { "requests": 7, "averageResponseTime": 1.25, "p95ResponseTime": 9.0, "errorRate": 0.5 },
                "streams": { "viewers": 3, "chunksPerSecond": 12.4, "bytesPerSecond": 2048.0,
                    "archiveBacklogBytes": 0, "replicaLagMs": 1500 },
            },
            "memory": { "rss": 300, "heap": 100, "limits": { "soft": 400, "hard": 600 },
                "components": { "sessions": 20, "screens": 0 }, "runCount": 2 },
            "sessions": { "active": 1, "inactive": 0, "total": 1, "errors": 0, "sessions": [
                { "id": "s", "projectId": "p", "type": "system", "tabName": "tab", "state": "active",
                  "attached": 1, "bytesIn": 3, "bytesOut": 4096, "idleSecs": 61 }] },
            "actors": { "kinds": kinds },
            "streams": { "streams": [
                { "id": 1, "runId": "run", "lagSeq": 5, "lagBytes": 10, "readsHistory": true,
                  "bytesSent": messages, "since": "2026-01-01T00:00:00.000Z" }] },
        });
        Figures::of(look).expect("figures")
    }

    #[test]
    fn everything_is_shown_and_rates_are_those_of_the_time_between() {
        let before = figures("2026-01-01T00:00:10.000Z", 100, 2);
        let now = figures("2026-01-01T00:00:12.000Z", 300, 2);
        let text = lines(&now, Some(&before), usize::MAX).join("\n");
        let text = console::strip_ansi_codes(&text);
        for shown in [
            "███████████████░░░░░│░░░░░░░░░",
            "12 chunks/s",
            "50.0 % failed",
            "Kind01",
            "  100  ",
            "history",
            "system",
            "3 viewers",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_small_terminal_gets_what_matters_most() {
        let now = figures("2026-01-01T00:00:12.000Z", 300, 40);
        for rows in 1..60 {
            let lines = lines(&now, None, rows);
            assert!(lines.len() <= rows.max(5), "{} in {rows}", lines.len());
        }
        let text = lines(&now, None, 24).join("\n");
        // The longest queue stands first.
        assert!(text.contains("Kind39") && text.contains("more actors"), "{text}");
        assert!(!text.contains("Kind00"));
    }
}
