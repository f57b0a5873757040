//! What the headers of a download promise: whether it is whole, what it is called, which part is wanted.

use actix_web::HttpRequest;
use actix_web::http::header::{
    ByteRangeSpec, ContentDisposition, DispositionParam, DispositionType, EntityTag, Header as _,
    IfNoneMatch, IfRange, Range,
};
use runcast_actors::ids::{NodeRef, RunId, StreamName};
use runcast_actors::ports::{Recording, RecordingState};
use serde::Deserialize;

/// How a recording is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An asciicast.
    #[default]
    Cast,
    /// The lines.
    Txt,
    /// The exact bytes.
    Raw,
}

/// The version of an asciicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CastVersion {
    /// Version 2, for old players.
    V2,
    /// Version 3.
    #[default]
    V3,
}

impl Format {
    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Cast => "application/x-asciicast",
            Self::Txt => "text/plain; charset=utf-8",
            Self::Raw => "application/octet-stream",
        }
    }

    /// The name under which it is saved: `RUN-NODE.cast`, with the stream if it is one of several.
    pub fn disposition(
        self,
        run: &RunId,
        node_ref: &NodeRef,
        streams: &[StreamName],
    ) -> ContentDisposition {
        let ending = match (self, streams) {
            (Self::Cast, _) => "cast",
            (Self::Txt, _) => "txt",
            (Self::Raw, [StreamName::Pty]) => "raw",
            (Self::Raw, _) => "log",
        };
        let stream = match streams {
            [only] if *only != StreamName::Pty => format!("-{only}"),
            _ => String::new(),
        };
        // Ids have no character that means something in a file name or a header.
        let name = format!("{run}-{node_ref}{stream}.{ending}");
        ContentDisposition {
            disposition: DispositionType::Attachment,
            parameters: vec![DispositionParam::Filename(name)],
        }
    }
}

/// What the rows say of the streams that are downloaded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Complete only if every one is.
    pub state: RecordingState,
    /// Bytes of output in all of them.
    pub bytes: u64,
    /// The hashes of complete ones, joined.
    sha256: String,
}

impl Recorded {
    /// Of one row a stream; a stream without one is still being archived.
    pub fn of<'a>(rows: impl IntoIterator<Item = Option<&'a Recording>>) -> Self {
        let mut recorded =
            Self { state: RecordingState::Complete, bytes: 0, sha256: String::new() };
        for row in rows {
            let state = row.map_or(RecordingState::Live, |row| row.state);
            recorded.state = worse(recorded.state, state);
            let Some(row) = row else { continue };
            recorded.bytes += row.bytes;
            if let Some(sha256) = &row.sha256 {
                if !recorded.sha256.is_empty() {
                    recorded.sha256.push('.');
                }
                recorded.sha256.push_str(sha256);
            }
        }
        recorded
    }

    /// The strong validator of a complete recording in a format; none of one that may change.
    pub fn etag(&self, format: Format, version: CastVersion) -> Option<EntityTag> {
        if self.state != RecordingState::Complete || self.sha256.is_empty() {
            return None;
        }
        // How lines and casts are written may change with the program, bytes never do.
        let program = env!("CARGO_PKG_VERSION");
        let suffix = match (format, version) {
            (Format::Raw, _) => "raw".to_owned(),
            (Format::Txt, _) => format!("txt-{program}"),
            (Format::Cast, CastVersion::V3) => format!("cast3-{program}"),
            (Format::Cast, CastVersion::V2) => format!("cast2-{program}"),
        };
        Some(EntityTag::new_strong(format!("{}-{suffix}", self.sha256)))
    }
}

fn worse(left: RecordingState, right: RecordingState) -> RecordingState {
    use RecordingState::{Complete, Incomplete, Live};
    match (left, right) {
        (Live, _) | (_, Live) => Live,
        (Incomplete, _) | (_, Incomplete) => Incomplete,
        (Complete, Complete) => Complete,
    }
}

/// True if the client has exactly this already.
pub fn is_known(request: &HttpRequest, etag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(items)) => items.iter().any(|item| item.weak_eq(etag)),
        Err(_) => false,
    }
}

/// Which part of the bytes is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Whole,
    /// From the first to the last, both included.
    Range(u64, u64),
    /// A part that does not exist.
    Beyond,
}

impl Part {
    /// What a request asks of a complete recording of `length` bytes. A header that is malformed, names
    /// several ranges, or was meant for other bytes is as if it were not there (RFC 9110, 14.2).
    pub fn of(request: &HttpRequest, etag: &EntityTag, length: u64) -> Self {
        let has_if_range = request.headers().contains_key(IfRange::name());
        let is_of_these = match IfRange::parse(request) {
            Ok(IfRange::EntityTag(known)) => known.strong_eq(etag),
            _ => !has_if_range,
        };
        match Range::parse(request) {
            Ok(Range::Bytes(ranges)) if is_of_these => match ranges.as_slice() {
                [ByteRangeSpec::FromTo(from, to)] if from > to => Self::Whole,
                [range] => range
                    .to_satisfiable_range(length)
                    .map_or(Self::Beyond, |(first, last)| Self::Range(first, last)),
                _ => Self::Whole,
            },
            _ => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
    use actix_web::test::TestRequest;

    use super::*;

    fn etag() -> EntityTag {
        EntityTag::new_strong("ab-raw".to_owned())
    }

    #[test]
    fn a_range_is_one_range_of_these_bytes() {
        let cases = [
            ("bytes=0-0", None, Part::Range(0, 0)),
            ("bytes=2-5", None, Part::Range(2, 5)),
            ("bytes=2-500", None, Part::Range(2, 9)),
            ("bytes=9-", None, Part::Range(9, 9)),
            ("bytes=-3", None, Part::Range(7, 9)),
            ("bytes=-30", None, Part::Range(0, 9)),
            ("bytes=10-", None, Part::Beyond),
            ("bytes=-0", None, Part::Beyond),
            ("bytes=5-2", None, Part::Whole),
            ("bytes=0-1,3-4", None, Part::Whole),
            ("bytes=x", None, Part::Whole),
            ("lines=1-2", None, Part::Whole),
            ("bytes=2-5", Some("\"ab-raw\""), Part::Range(2, 5)),
            ("bytes=2-5", Some("W/\"ab-raw\""), Part::Whole),
            ("bytes=2-5", Some("\"other\""), Part::Whole),
            ("bytes=2-5", Some("Sat, 21 Nov 2026 00:00:00 GMT"), Part::Whole),
            ("bytes=2-5", Some("nonsense"), Part::Whole),
        ];
        for (range, if_range, expected) in cases {
            let mut request = TestRequest::default().insert_header((RANGE, range));
            if let Some(if_range) = if_range {
                request = request.insert_header((IF_RANGE, if_range));
            }
            let part = Part::of(&request.to_http_request(), &etag(), 10);
            assert_eq!(part, expected, "{range} {if_range:?}");
        }
        let request = TestRequest::default().insert_header((RANGE, "bytes=0-"));
        assert_eq!(Part::of(&request.to_http_request(), &etag(), 0), Part::Beyond);
    }

    #[test]
    fn what_the_client_has_is_compared_weakly() {
        for (value, expected) in [
            ("\"ab-raw\"", true),
            ("W/\"ab-raw\"", true),
            ("\"x\", \"ab-raw\"", true),
            ("*", true),
            ("\"ab-txt\"", false),
        ] {
            let request = TestRequest::default().insert_header((IF_NONE_MATCH, value));
            assert_eq!(is_known(&request.to_http_request(), &etag()), expected, "{value}");
        }
        assert!(!is_known(&TestRequest::default().to_http_request(), &etag()));
    }

    #[test]
    fn names_tell_run_node_and_stream() {
        let (run, node) = ("r.1".parse().expect("valid"), "n_2".parse().expect("valid"));
        let both = [StreamName::Stdout, StreamName::Stderr];
        for (format, streams, name) in [
            (Format::Cast, &[StreamName::Pty][..], "r.1-n_2.cast"),
            (Format::Raw, &[StreamName::Pty], "r.1-n_2.raw"),
            (Format::Txt, &both, "r.1-n_2.txt"),
            (Format::Raw, &both[..1], "r.1-n_2-stdout.log"),
        ] {
            let header = format.disposition(&run, &node, streams).to_string();
            assert_eq!(header, format!("attachment; filename=\"{name}\""));
        }
    }
}
