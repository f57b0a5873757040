//! What the nodes of a run print until they are told to stop, and what that must have been.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::collect::StreamId;
use crate::support::programs::{after, as_terminal_passes, pipe, pty, run_of};

/// Nodes that come one after the other while the others print, so that there are changes of status at all times.
const STEPS: u32 = 8;

/// Prints numbered lines with bytes of every value, ten in ten milliseconds, or in a hundred while there is a
/// file, until there is another; then tells in a third how many it were.
const PRINTER: &str = r#"
my ($folder, $out, $err) = @ARGV;
$| = 1; select STDERR; $| = 1; select STDOUT;
sub line { my ($name, $i) = @_; sprintf "%s %08d \e[3%dm%s\e[0m\n", $name, $i, $i % 8, chr($i % 256) x ($i % 151) }
my $i = 0;
until (-e "$folder/stop") {
  my ($o, $e) = ("", "");
  for (1 .. 10) { $i++; $o .= line($out, $i); $e .= line($err, $i) if $err }
  print STDOUT $o; print STDERR $e if $err;
  select undef, undef, undef, -e "$folder/calm" ? 0.1 : 0.01;
}
open my $told, ">", "$folder/$out" or die; print $told $i; close $told;
"#;

/// The same line.
fn line(name: &str, number: usize) -> Vec<u8> {
    let filling = u8::try_from(number % 256).expect("below 256");
    let mut line = format!("{name} {number:08} \x1b[3{}m", number % 8).into_bytes();
    line.extend(std::iter::repeat_n(filling, number % 151));
    line.extend(b"\x1b[0m\n");
    line
}

/// The programs of one run.
pub(super) struct Load(TempDir);

impl Load {
    pub(super) fn new() -> Self {
        let folder = TempDir::with_prefix("runcast-load-").expect("a temporary directory");
        let mut file = std::fs::File::create(folder.path().join("print.pl")).expect("a file");
        file.write_all(PRINTER.as_bytes()).expect("it is written");
        Self(folder)
    }

    /// The run: a terminal that is set up as usual, one that passes bytes as they are, two pipes, and steps.
    pub(super) fn run(&self) -> Value {
        let folder = self.0.path().display();
        let print = |names: &str| format!("exec perl '{folder}/print.pl' '{folder}' {names}");
        let mut nodes = vec![
            pty("lines", &print("lines")),
            pty("bytes", &format!("stty raw -echo && {}", print("bytes"))),
            pipe("pipes", &print("out err")),
        ];
        for step in 1..=STEPS {
            let node = pty(&format!("step{step}"), &format!("echo begins; sleep 0.5; seq {step}"));
            let before = format!("step{}", step - 1);
            nodes.push(if step == 1 { node } else { after(node, &[&before]) });
        }
        let mut run = run_of(nodes);
        run["labels"] = json!({ "suite": "chaos" });
        run
    }

    /// Lets the programs print a tenth, so that what is behind catches up however busy the machine is.
    pub(super) fn calm(&self) {
        std::fs::write(self.0.path().join("calm"), "").expect("a file");
    }

    /// Lets them print as much as before again.
    pub(super) fn busy(&self) {
        // At first it is not there.
        let _ = std::fs::remove_file(self.0.path().join("calm"));
    }

    /// Lets the programs end.
    pub(super) fn stop(&self) {
        std::fs::write(self.0.path().join("stop"), "").expect("a file");
    }

    /// What each stream must have been, once all programs have ended.
    pub(super) fn expected(&self) -> BTreeMap<StreamId, Vec<u8>> {
        let mut expected = BTreeMap::new();
        let mut expect = |node: &str, stream: &str, bytes: Vec<u8>| {
            expected.insert((node.to_owned(), stream.to_owned()), bytes);
        };
        expect("lines", "pty", as_terminal_passes(&self.printed("lines", "lines")));
        expect("bytes", "pty", self.printed("bytes", "bytes"));
        expect("pipes", "stdout", self.printed("out", "out"));
        expect("pipes", "stderr", self.printed("err", "out"));
        for step in 1..=STEPS {
            let numbers: Vec<String> = (1..=step).map(|number| number.to_string()).collect();
            let printed = format!("begins\n{}\n", numbers.join("\n"));
            let output = as_terminal_passes(printed.as_bytes());
            expect(&format!("step{step}"), "pty", output);
        }
        expected
    }

    /// What one program has printed under this name.
    fn printed(&self, name: &str, told_by: &str) -> Vec<u8> {
        let file: PathBuf = self.0.path().join(told_by);
        let count = std::fs::read_to_string(file).expect("the program has told its count");
        let count: usize = count.parse().expect("a number");
        (1..=count).flat_map(|number| line(name, number)).collect()
    }
}
