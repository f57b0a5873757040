//! Reads the layers of the configuration and merges them.
//!
//! Every problem is reported: a value that cannot be read is left out and reading starts again, so
//! that one mistake does not hide the next. Each repeat leaves out at least one key, so it ends.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use figment::error::Kind;
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::problems::{ConfigError, Problem, Rules};
use super::{Role, Settings};

const ENV_PREFIX: &str = "RUNCAST__";
/// Customary variables and the key each stands for, a later one before an earlier one of the same key; our
/// own variable of that key wins.
const CUSTOMARY_ENV: [(&str, &str); 9] = [
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "redis.url"),
    ("AWS_ENDPOINT_URL", "archive.s3.endpoint"),
    ("AWS_ENDPOINT_URL_S3", "archive.s3.endpoint"),
    ("AWS_DEFAULT_REGION", "archive.s3.region"),
    ("AWS_REGION", "archive.s3.region"),
    ("AWS_ACCESS_KEY_ID", "archive.s3.access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "archive.s3.secret_access_key"),
    ("AWS_SESSION_TOKEN", "archive.s3.session_token"),
];
const DEFAULT_SOURCE: &str = "the built-in defaults";
const ENV_SOURCE: &str = "the environment";
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where the configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file, if one is named; it must exist.
    pub file: Option<PathBuf>,
    /// The variables of the environment; those that mean nothing here are skipped.
    pub env: Vec<(String, String)>,
    /// What the command line says.
    pub flags: Flags,
}

/// Values given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `server.listen`
    pub listen: Option<SocketAddr>,
    /// `server.data_dir`
    pub data_dir: Option<PathBuf>,
    /// `server.role`
    pub role: Option<Role>,
}

impl Sources {
    /// A file, the environment of this process, and flags.
    pub fn of_process(file: Option<PathBuf>, flags: Flags) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self { file, env, flags }
    }
}

pub(super) fn load(sources: &Sources) -> Result<Settings, ConfigError> {
    let layers = read_layers(sources)?;
    let mut problems: Vec<Problem> = Vec::new();
    let mut left_out: BTreeSet<Vec<String>> = BTreeSet::new();
    let whole = merge(&layers, &BTreeSet::new());
    let settings = loop {
        let error = match merge(&layers, &left_out).extract::<Settings>() {
            Ok(settings) => break settings,
            Err(error) => error,
        };
        let path = path_of(&error);
        problems.push(problem_of(&whole, &path, &error));
        if path.is_empty() || !left_out.insert(path) {
            return Err(ConfigError { problems });
        }
    };
    let mut rules = Rules::default();
    settings.check(&mut rules);
    for (key, message) in rules.broken {
        // A key that could not be read holds its default here, which is not what the user meant.
        if problems.iter().any(|problem| problem.key == key) {
            continue;
        }
        let source = source_of(&whole, &key);
        problems.push(Problem { key, source, message });
    }
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError { problems }) }
}

/// One source, already parsed.
struct Layer {
    name: String,
    values: Dict,
}

/// A layer without the keys that cannot be read.
struct Without<'a> {
    layer: &'a Layer,
    left_out: &'a BTreeSet<Vec<String>>,
}

impl Provider for Without<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.layer.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut values = self.layer.values.clone();
        for path in self.left_out {
            remove(&mut values, path);
        }
        Ok(Map::from([(Profile::Default, values)]))
    }
}

fn merge(layers: &[Layer], left_out: &BTreeSet<Vec<String>>) -> Figment {
    let defaults = Layer { name: DEFAULT_SOURCE.to_owned(), values: defaults() };
    let nothing = BTreeSet::new();
    layers
        .iter()
        .fold(Figment::from(Without { layer: &defaults, left_out: &nothing }), |figment, layer| {
            figment.merge(Without { layer, left_out })
        })
}

/// The layers from the weakest to the strongest.
fn read_layers(sources: &Sources) -> Result<Vec<Layer>, ConfigError> {
    let mut layers = Vec::new();
    if let Some(path) = &sources.file {
        let name = format!("file {}", path.display());
        let values = read_file(path).map_err(|message| ConfigError {
            problems: vec![Problem { key: String::new(), source: name.clone(), message }],
        })?;
        layers.push(Layer { name, values });
    }
    layers.extend(customary_env(&sources.env));
    layers.push(Layer { name: ENV_SOURCE.to_owned(), values: own_env(&sources.env) });
    layers.push(Layer { name: "the command line".to_owned(), values: flag_values(&sources.flags) });
    Ok(layers)
}

fn read_file(path: &PathBuf) -> Result<Dict, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("{size} bytes; allowed: at most {MAX_FILE_BYTES}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    // Read twice: this error has the line and a picture of it, the other one does not.
    toml::from_str::<toml::Table>(&text)
        .map_err(|error| error.to_string().trim_end().to_owned())?;
    let mut data = Toml::string(&text).data().map_err(|error| error.to_string())?;
    Ok(data.remove(&Profile::Default).unwrap_or_default())
}

fn customary_env(env: &[(String, String)]) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (variable, key) in CUSTOMARY_ENV {
        let found = env.iter().find(|(name, value)| name == variable && !value.is_empty());
        if let Some((_, value)) = found {
            let mut values = Dict::new();
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            insert(&mut values, &path, Value::from(value.as_str()));
            layers.push(Layer { name: format!("the variable {variable}"), values });
        }
    }
    layers
}

fn own_env(env: &[(String, String)]) -> Dict {
    let defaults = defaults();
    let mut values = Dict::new();
    for (name, text) in env {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else { continue };
        let path: Vec<String> = rest.to_ascii_lowercase().split("__").map(str::to_owned).collect();
        // A text stays a text, also when it looks like a number; the optional keys are all texts.
        let value = match find(&defaults, &path) {
            None | Some(Value::String(..)) => Value::from(text.as_str()),
            Some(_) => match text.parse::<Value>() {
                Ok(value) => value,
                Err(never) => match never {},
            },
        };
        insert(&mut values, &path, value);
    }
    values
}

fn flag_values(flags: &Flags) -> Dict {
    let mut server = Dict::new();
    if let Some(listen) = flags.listen {
        server.insert("listen".to_owned(), Value::from(listen.to_string()));
    }
    if let Some(data_dir) = &flags.data_dir {
        let text = data_dir.to_string_lossy().into_owned();
        server.insert("data_dir".to_owned(), Value::from(text));
    }
    if let Some(role) = flags.role {
        server.insert("role".to_owned(), Value::from(role.as_str()));
    }
    if server.is_empty() {
        return Dict::new();
    }
    Dict::from([("server".to_owned(), Value::from(server))])
}

fn defaults() -> Dict {
    let mut data = Serialized::defaults(Settings::default())
        .data()
        .expect("the defaults are a struct of plain values");
    data.remove(&Profile::Default).unwrap_or_default()
}

/// The path of the key an error is about; list elements count as their list.
fn path_of(error: &Error) -> Vec<String> {
    let is_name = |part: &&String| part.parse::<usize>().is_err();
    let mut path: Vec<String> = error.path.iter().take_while(is_name).cloned().collect();
    let inside_list = path.len() < error.path.len();
    if let Kind::UnknownField(field, _) = &error.kind
        && !inside_list
        && path.last() != Some(field)
    {
        path.push(field.clone());
    }
    path
}

fn problem_of(figment: &Figment, path: &[String], error: &Error) -> Problem {
    let key = path.join(".");
    let place = error.path.iter().skip(path.len()).fold(String::new(), |text, part| {
        match part.parse::<usize>() {
            Ok(index) => format!("{text}[{index}]"),
            Err(_) => format!("{text}.{part}"),
        }
    });
    let message = match &error.kind {
        Kind::UnknownField(field, allowed) => {
            format!("there is no key `{field}`; allowed: {}", allowed.join(", "))
        }
        Kind::UnknownVariant(found, allowed) => {
            format!("`{found}` is not possible; allowed: {}", allowed.join(", "))
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("found {found}; allowed: {expected}")
        }
        Kind::MissingField(field) => format!("`{field}` is missing; allowed: a value for it"),
        other => other.to_string(),
    };
    let source = source_of(figment, &key);
    Problem { key: format!("{key}{place}"), source, message }
}

/// Where the value of a key came from, in words; for the environment with the variable.
fn source_of(figment: &Figment, key: &str) -> String {
    let plain = key.split('[').next().unwrap_or(key);
    match figment.find_metadata(plain) {
        Some(metadata) if metadata.name == ENV_SOURCE => {
            let variable = plain.to_ascii_uppercase().replace('.', "__");
            format!("the variable {ENV_PREFIX}{variable}")
        }
        Some(metadata) => metadata.name.to_string(),
        None => DEFAULT_SOURCE.to_owned(),
    }
}

fn find<'a>(values: &'a Dict, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = values.get(first)?;
    if rest.is_empty() { Some(value) } else { find(value.as_dict()?, rest) }
}

fn insert(values: &mut Dict, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        values.insert(first.clone(), value);
        return;
    }
    let entry = values.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
    // `RUNCAST__LOG=x` beside `RUNCAST__LOG__SYNC_MS=1`: the first is reported, so it must stay.
    if let Value::Dict(_, inner) = entry {
        insert(inner, rest, value);
    }
}

fn remove(values: &mut Dict, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        values.remove(first);
    } else if let Some(Value::Dict(_, inner)) = values.get_mut(first) {
        remove(inner, rest);
    }
}
