//! The figures: a table for people, a JSON document for programs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
    /// It stands for comparison.
    None,
}

/// One figure, measured once or several times.
#[derive(Debug, Clone)]
struct Figure {
    scenario: &'static str,
    name: String,
    unit: &'static str,
    target: Target,
    samples: Vec<f64>,
}

/// All figures of one call of this program.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    failures: Vec<String>,
}

impl Figure {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn median(&self) -> f64 {
        quantile(&self.sorted(), 0.5)
    }

    fn verdict(&self) -> &'static str {
        let reached = match self.target {
            Target::None => return "",
            Target::AtLeast(least) => self.median() >= least,
            Target::AtMost(most) => self.median() <= most,
        };
        if reached { "reached" } else { "MISSED" }
    }

    fn target(&self) -> String {
        match self.target {
            Target::None => String::new(),
            Target::AtLeast(least) => format!("≥ {least}"),
            Target::AtMost(most) => format!("≤ {most}"),
        }
    }
}

/// The value below which this part of the sorted values lies.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * part).round() as usize).copied().unwrap_or(f64::NAN)
}

impl Report {
    /// Adds a sample to a figure.
    pub(crate) fn add(
        &mut self,
        scenario: &'static str,
        (name, unit): (&str, &'static str),
        target: Target,
        sample: f64,
    ) {
        eprintln!("  {scenario}: {name} {sample:.3} {unit}");
        let known = self
            .figures
            .iter_mut()
            .find(|figure| figure.scenario == scenario && figure.name == name);
        match known {
            Some(figure) => figure.samples.push(sample),
            None => self.figures.push(Figure {
                scenario,
                name: name.to_owned(),
                unit,
                target,
                samples: vec![sample],
            }),
        }
    }

    /// A check that did not hold.
    pub(crate) fn fail(&mut self, scenario: &str, error: &anyhow::Error) {
        self.failures.push(format!("{scenario}: {error:#}"));
    }

    /// True if every check held.
    pub(crate) fn is_sound(&self) -> bool {
        self.failures.is_empty()
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        let width = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or_default();
        println!(
            "{:<11} {:<width$} {:>11} {:>25}  {:<6} {:>8}",
            "scenario", "figure", "median", "min – max", "unit", "reach"
        );
        for figure in &self.figures {
            let sorted = figure.sorted();
            let range = format!("{:.3} – {:.3}", quantile(&sorted, 0.0), quantile(&sorted, 1.0));
            println!(
                "{:<11} {:<width$} {:>11.3} {range:>25}  {:<6} {:>8} {}",
                figure.scenario,
                figure.name,
                figure.median(),
                figure.unit,
                figure.target(),
                figure.verdict(),
            );
        }
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
    }

    /// Writes the document beside the build.
    pub(crate) fn write(&self) -> anyhow::Result<PathBuf> {
        let figures: Vec<Value> = self.figures.iter().map(figure_json).collect();
        let document = json!({
            "machine": machine(),
            "figures": figures,
            "failures": self.failures,
        });
        let directory = Path::new(env!("CARGO_BIN_EXE_runcast"))
            .ancestors()
            .nth(2)
            .unwrap_or(Path::new("target"))
            .join("bench");
        std::fs::create_dir_all(&directory)?;
        let path = directory.join("stream.json");
        std::fs::write(&path, serde_json::to_vec_pretty(&document)?)?;
        Ok(path)
    }
}

fn figure_json(figure: &Figure) -> Value {
    let (at_least, at_most) = match figure.target {
        Target::None => (None, None),
        Target::AtLeast(least) => (Some(least), None),
        Target::AtMost(most) => (None, Some(most)),
    };
    json!({
        "scenario": figure.scenario,
        "name": figure.name,
        "unit": figure.unit,
        "median": figure.median(),
        "samples": figure.samples,
        "atLeast": at_least,
        "atMost": at_most,
    })
}

/// On what, and beside what, the figures were measured.
pub(crate) fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let line = |text: &str, name: &str| {
        let found = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        found.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    json!({
        "processor": line(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory": line(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "loadAverage": read("/proc/loadavg").trim(),
    })
}
