//! The files of the web page, as the build of `player/app` has left them, with their compressed forms.
//!
//! They are in the binary. A binary that was built before the page has none, and serves the API alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::http::header::{AcceptEncoding, ContentEncoding, Encoding, EntityTag};
use bytes::Bytes;
use runcast_actors::flow::sequencer::hex;
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

/// The file that is shown at every address of the page.
pub(crate) const INDEX: &str = "index.html";
/// Files below have a hash of their content in the name, so none of them ever changes.
pub(crate) const ASSETS: &str = "assets/";

/// Endings of the forms that the build adds beside a file, best first.
const COMPRESSED: [(&str, ContentEncoding); 2] =
    [(".br", ContentEncoding::Brotli), (".gz", ContentEncoding::Gzip)];

#[derive(RustEmbed)]
#[folder = "player/app/dist"]
#[allow_missing = true]
struct Dist;

/// All files of the page.
#[derive(Default)]
pub struct WebPage {
    files: BTreeMap<String, PageFile>,
}

impl WebPage {
    /// What is in this binary.
    pub fn embedded() -> Self {
        Self::of(Dist::iter().filter_map(|name| {
            let bytes = match Dist::get(&name)?.data {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => bytes.into(),
            };
            Some((name.into_owned(), bytes))
        }))
    }

    /// Of these files. `a.js.br` and `a.js.gz` are forms of `a.js`, not files of their own.
    pub fn of(files: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        let mut given: BTreeMap<String, Bytes> = files.into_iter().collect();
        let mut forms: BTreeMap<String, Vec<Form>> = BTreeMap::new();
        for (ending, encoding) in COMPRESSED {
            let with_forms = given.keys().filter_map(|name| name.strip_suffix(ending));
            let with_forms: Vec<String> =
                with_forms.filter(|plain| given.contains_key(*plain)).map(str::to_owned).collect();
            for name in with_forms {
                let bytes = given.remove(&format!("{name}{ending}")).unwrap_or_default();
                forms.entry(name).or_default().push(Form::new(encoding, bytes));
            }
        }
        let whole = given.into_iter().map(|(name, bytes)| {
            let compressed = forms.remove(&name).unwrap_or_default();
            let plain = Form::new(ContentEncoding::Identity, bytes);
            let content_type = content_type(&name);
            (name, PageFile { content_type, plain, compressed })
        });
        Self { files: whole.collect() }
    }

    /// True if this binary was built without the page.
    pub fn is_missing(&self) -> bool {
        !self.files.contains_key(INDEX)
    }

    /// The file by its name, which has no leading slash.
    pub fn file(&self, name: &str) -> Option<&PageFile> {
        self.files.get(name)
    }
}

/// One file in all its forms.
pub struct PageFile {
    content_type: String,
    plain: Form,
    compressed: Vec<Form>,
}

impl PageFile {
    /// For `Content-Type`.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// True if what is sent depends on `Accept-Encoding`.
    pub fn varies(&self) -> bool {
        !self.compressed.is_empty()
    }

    /// The smallest form that the client takes.
    pub fn form(&self, accepted: &AcceptEncoding) -> &Form {
        let takes = |form: &&Form| {
            let offered = [Encoding::Known(form.encoding), Encoding::identity()];
            accepted.negotiate(offered.iter()).as_ref() == Some(&offered[0])
        };
        self.compressed.iter().find(takes).unwrap_or(&self.plain)
    }
}

/// The bytes of a file in one encoding.
pub struct Form {
    /// How they are encoded.
    pub encoding: ContentEncoding,
    /// What is sent.
    pub bytes: Bytes,
    /// Names exactly these bytes.
    pub etag: EntityTag,
}

impl Form {
    fn new(encoding: ContentEncoding, bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes);
        Self { encoding, bytes, etag: EntityTag::new_strong(hex(&digest[..16])) }
    }
}

fn content_type(name: &str) -> String {
    let found = mime_guess::from_path(name).first_or_octet_stream();
    if found.type_() == mime_guess::mime::TEXT {
        format!("{found}; charset=utf-8")
    } else {
        found.to_string()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{ACCEPT_ENCODING, Header as _};
    use actix_web::test::TestRequest;

    use super::*;

    fn page() -> WebPage {
        let names = ["index.html", "assets/a.js", "assets/a.js.gz", "assets/a.js.br", "old.gz"];
        WebPage::of(names.map(|name| (name.to_owned(), Bytes::from_static(name.as_bytes()))))
    }

    #[test]
    fn compressed_forms_are_no_files_of_their_own() {
        let page = page();
        for (name, content_type) in [
            ("index.html", Some("text/html; charset=utf-8")),
            ("assets/a.js", Some("text/javascript; charset=utf-8")),
            ("assets/a.js.br", None),
            ("assets/a.js.gz", None),
            ("old.gz", Some("application/gzip")),
            ("", None),
        ] {
            assert_eq!(page.file(name).map(PageFile::content_type), content_type, "{name}");
        }
        assert!(!page.is_missing());
        assert!(WebPage::default().is_missing());
    }

    #[test]
    fn the_client_decides_on_the_form() {
        let page = page();
        let file = page.file("assets/a.js").expect("a file");
        for (accepted, bytes) in [
            ("gzip, deflate, br, zstd", "assets/a.js.br"),
            ("gzip, deflate", "assets/a.js.gz"),
            ("br;q=0, gzip", "assets/a.js.gz"),
            ("GZIP", "assets/a.js.gz"),
            ("gzip;q=0", "assets/a.js"),
            ("zstd", "assets/a.js"),
            ("*", "assets/a.js"),
            ("", "assets/a.js"),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, accepted));
            let accepted_header =
                AcceptEncoding::parse(&request.to_http_request()).expect("a header");
            assert_eq!(file.form(&accepted_header).bytes, bytes, "{accepted}");
        }
        let tags: Vec<&str> = file.compressed.iter().map(|form| form.etag.tag()).collect();
        assert!(tags.iter().all(|tag| *tag != file.plain.etag.tag()) && tags[0] != tags[1]);
        assert!(file.varies() && !page.file("index.html").expect("a file").varies());
    }
}
