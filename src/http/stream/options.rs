//! What a client asks of a stream.

use std::collections::BTreeSet;

use actix_web::HttpRequest;
use runcast_actors::flow::frame::{EventName, Frame};
use runcast_actors::ids::{NodeRef, Seq};

use crate::http::error::ApiError;
use crate::http::params::Query;

/// Lines above the screen of a snapshot, at most.
const MAX_SCROLLBACK: i64 = 5000;
/// Lines above the screen of a snapshot, if nothing is said.
const DEFAULT_SCROLLBACK: usize = 200;
/// `tail=` at most.
const MAX_TAIL: i64 = 100_000;
/// The keys of the query of a stream.
const KEYS: [&str; 8] =
    ["after", "last_event_id", "from", "nodes", "types", "scrollback", "format", "tail"];

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Behind this entry.
    After(Seq),
    /// At the first entry.
    Start,
    /// With the screens of this moment.
    Live,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Server-Sent Events.
    Sse,
    /// A JSON document a line.
    Ndjson,
    /// Server-Sent Events with lines instead of chunks.
    Lines,
    /// Lines of plain text.
    Text,
}

/// What passes of a run.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    nodes: Option<BTreeSet<NodeRef>>,
    types: Option<Vec<EventName>>,
}

impl Filter {
    /// Only the console of one node.
    pub fn node(node_ref: NodeRef) -> Self {
        Self { nodes: Some(BTreeSet::from([node_ref])), types: None }
    }

    /// True if everything passes.
    pub fn is_open(&self) -> bool {
        self.nodes.is_none() && self.types.is_none()
    }

    /// True if consoles of this node pass.
    pub fn has_node(&self, node_ref: &NodeRef) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(node_ref))
    }

    /// True if consoles pass at all.
    pub fn has_terminal(&self) -> bool {
        self.has_type(EventName::Terminal)
    }

    /// The nodes that were asked for, if not all.
    pub fn nodes(&self) -> Option<&BTreeSet<NodeRef>> {
        self.nodes.as_ref()
    }

    /// True if the event passes.
    pub fn passes(&self, frame: &Frame) -> bool {
        match frame.event {
            EventName::Gap => true,
            EventName::Terminal => {
                self.has_terminal()
                    && frame.node_ref.as_ref().is_none_or(|node_ref| self.has_node(node_ref))
            }
            name => self.has_type(name),
        }
    }

    fn has_type(&self, name: EventName) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&name))
    }

    /// Reads `nodes=a,b` and `types=status,terminal`.
    pub fn of(query: &Query) -> Result<Self, ApiError> {
        let nodes = query.text("nodes").map(|names| {
            let parse = |name: &str| {
                name.parse().map_err(|error: runcast_actors::ids::InvalidName| {
                    ApiError::invalid("nodes", error.to_string())
                })
            };
            names.split(',').map(parse).collect::<Result<_, _>>()
        });
        let types = query.text("types").map(|names| {
            let parse = |name: &str| match name {
                "status" => Ok(EventName::Status),
                "trace" => Ok(EventName::Trace),
                "terminal" => Ok(EventName::Terminal),
                other => {
                    let shown: String = other.chars().take(64).collect();
                    let message = format!("`{shown}`; allowed: status, trace, terminal");
                    Err(ApiError::invalid("types", message))
                }
            };
            names.split(',').map(parse).collect::<Result<_, _>>()
        });
        Ok(Self { nodes: nodes.transpose()?, types: types.transpose()? })
    }
}

/// What a client asks of a stream.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// Where it begins.
    pub begin: Begin,
    /// What passes.
    pub filter: Filter,
    /// How it is written.
    pub format: Format,
    /// Lines above the screens of a snapshot.
    pub scrollback: usize,
    /// Only the last so many lines or events of what is there.
    pub tail: Option<usize>,
}

impl StreamOptions {
    /// Reads the query and the headers of a request; `node` is the one of the path.
    pub fn of(request: &HttpRequest, node: Option<NodeRef>) -> Result<Self, ApiError> {
        let query = Query::of(request, &KEYS, &[])?;
        let format = match query.text("format") {
            None | Some("sse") => Format::Sse,
            Some("ndjson") => Format::Ndjson,
            Some("lines") => Format::Lines,
            Some("text") => Format::Text,
            Some(other) => {
                let shown: String = other.chars().take(64).collect();
                let message = format!("`{shown}`; allowed: sse, ndjson, lines, text");
                return Err(ApiError::invalid("format", message));
            }
        };
        let mut filter = Filter::of(&query)?;
        if let Some(node_ref) = node {
            if query.text("nodes").is_some() {
                return Err(ApiError::invalid("nodes", "the path names the node already"));
            }
            filter.nodes = Some(BTreeSet::from([node_ref]));
        }
        let scrollback = query.number("scrollback", &(0..=MAX_SCROLLBACK))?;
        let tail = query.number("tail", &(0..=MAX_TAIL))?;
        if tail.is_some() && format == Format::Sse {
            let message = "allowed with format=text, lines or ndjson";
            return Err(ApiError::invalid("tail", message));
        }
        Ok(Self {
            begin: begin(request, &query)?,
            filter,
            format,
            scrollback: scrollback
                .and_then(|lines| usize::try_from(lines).ok())
                .unwrap_or(DEFAULT_SCROLLBACK),
            tail: tail.and_then(|lines| usize::try_from(lines).ok()),
        })
    }
}

fn begin(request: &HttpRequest, query: &Query) -> Result<Begin, ApiError> {
    let header = request.headers().get("Last-Event-ID").map(|value| {
        value.to_str().map_err(|_| ApiError::invalid("Last-Event-ID", "the cursor is no number"))
    });
    // A browser that has seen no id yet sends an empty one.
    let header = header.transpose()?.filter(|value| !value.is_empty());
    let given = header
        .map(|value| ("Last-Event-ID", value))
        .or_else(|| query.text("last_event_id").map(|value| ("last_event_id", value)))
        .or_else(|| query.text("after").map(|value| ("after", value)));
    if let Some((field, value)) = given {
        return cursor(field, value).map(Begin::After);
    }
    match query.text("from") {
        None | Some("start") => Ok(Begin::Start),
        Some("live") => Ok(Begin::Live),
        Some(other) => {
            let shown: String = other.chars().take(64).collect();
            Err(ApiError::invalid("from", format!("`{shown}`; allowed: start, live")))
        }
    }
}

/// A cursor: a whole number below 2⁵³.
pub fn cursor(field: &str, text: &str) -> Result<Seq, ApiError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seq = is_number.then(|| text.parse().ok()).flatten().map(Seq);
    seq.filter(|seq| *seq <= Seq::MAX).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        ApiError::invalid(field, format!("`{shown}` is no cursor; allowed: 0 to {}", Seq::MAX))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn options(uri: &str, last_event_id: Option<&str>) -> Result<StreamOptions, ApiError> {
        let mut request = TestRequest::with_uri(uri);
        if let Some(id) = last_event_id {
            request = request.insert_header(("Last-Event-ID", id));
        }
        StreamOptions::of(&request.to_http_request(), None)
    }

    #[test]
    fn the_header_wins_over_the_query_and_a_cursor_over_from() {
        let begin = |uri, id| options(uri, id).expect("it is valid").begin;
        assert_eq!(begin("/?after=3&last_event_id=5&from=live", Some("7")), Begin::After(Seq(7)));
        assert_eq!(begin("/?after=3&last_event_id=5&from=live", None), Begin::After(Seq(5)));
        assert_eq!(begin("/?after=3&from=live", Some("")), Begin::After(Seq(3)));
        assert_eq!(begin("/?from=live", None), Begin::Live);
        assert_eq!(begin("/", None), Begin::Start);
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        for (uri, id) in [
            ("/?after=x", None),
            ("/?after=-1", None),
            ("/?after=+1", None),
            ("/?after=9007199254740992", None),
            ("/?after=", None),
            ("/", Some("1.5")),
            ("/?from=end", None),
            ("/?types=status,none", None),
            ("/?nodes=a,,b", None),
            ("/?scrollback=5001", None),
            ("/?format=xml", None),
            ("/?tail=5", None),
            ("/?color=red", None),
            ("/?stream=stdout", None),
        ] {
            assert!(options(uri, id).is_err(), "{uri} {id:?}");
        }
    }
}
