//! What must not be read in a command: patterns of secrets, each replaced by `***`.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};

/// What stands where a secret was.
const HIDDEN: &str = "***";
/// What a pattern may take when it is compiled.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;
/// The group that is hidden alone, if the pattern has it.
const GROUP: &str = "secret";

/// Patterns of secrets.
#[derive(Debug, Clone, Default)]
pub struct Redaction(Vec<Regex>);

impl Redaction {
    /// Of these patterns. What they match is hidden, or of it only the group `secret` where there is one.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, regex::Error> {
        let compiled = patterns.into_iter().map(|pattern| {
            RegexBuilder::new(pattern.as_ref()).size_limit(MAX_COMPILED_BYTES).build()
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// Program and arguments without their secrets, as one text: arguments with blanks stand in quotes.
    pub fn apply_to_command(&self, argv: &[String]) -> String {
        let quoted = argv.iter().map(|word| {
            let is_plain = !word.is_empty() && !word.contains(char::is_whitespace);
            if is_plain { Cow::Borrowed(word.as_str()) } else { Cow::Owned(format!("\"{word}\"")) }
        });
        self.apply(&quoted.collect::<Vec<_>>().join(" "))
    }

    fn apply(&self, text: &str) -> String {
        let mut shown = Cow::Borrowed(text);
        for pattern in &self.0 {
            if pattern.is_match(&shown) {
                shown = Cow::Owned(pattern.replace_all(&shown, hidden).into_owned());
            }
        }
        shown.into_owned()
    }
}

fn hidden(found: &Captures<'_>) -> String {
    let (Some(all), Some(secret)) = (found.get(0), found.name(GROUP)) else {
        return HIDDEN.to_owned();
    };
    let (start, end) = (secret.start() - all.start(), secret.end() - all.start());
    format!("{}{HIDDEN}{}", &all.as_str()[..start], &all.as_str()[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_is_hidden_or_its_group() {
        let redaction = Redaction::new([r"(?i)password[= ](?P<secret>\S+)", r"sk-[a-z0-9]+"]);
        let redaction = redaction.expect("patterns");
        for (text, shown) in [
            ("psql --PASSWORD=hunter2 -h db", "psql --PASSWORD=*** -h db"),
            ("a sk-abc1 b sk-abc2", "a *** b ***"),
            ("password x password=sk-é", "password *** password=***"),
            ("nothing to hide", "nothing to hide"),
            ("", ""),
        ] {
            assert_eq!(redaction.apply(text), shown);
        }
        let redaction =
            Redaction::new([r#"--password[= ](?P<secret>"[^"]*"|\S+)"#]).expect("a pattern");
        let argv = ["db", "--password", "two words", "-v"].map(str::to_owned);
        assert_eq!(redaction.apply_to_command(&argv), "db --password *** -v");
        assert_eq!(Redaction::default().apply("password=x"), "password=x");
        assert!(Redaction::new(["("]).is_err());
        assert!(Redaction::new([r"(\w{1000}){1000}"]).is_err(), "it would take too much memory");
    }
}
