//! Where a value comes from: the configuration file, the environment, the command line, each before the one before it.
//!
//! A file takes the place of defaults. So all three say the same things by the same names, and are held to the same rules.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser as _};

use super::file::{AUTHENTICATION, Entry, File, Said};
use super::{Cli, ConfigError, Plugin};

const SERVE: &str = "serve";
const CONFIG: &str = "config";
/// What the program is called as a plugin of kubectl.
const PLUGIN: &str = "kubectl-eventmesh";

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A command line that is none, or one that asks for help.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A value, and who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub form: Form,
    pub values: Vec<String>,
    pub source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Flag,
    Environment(String),
    File(PathBuf, u64),
    Default,
}

/// Reads the command line, the environment, and the file that one of them names.
///
/// # Errors
/// When something in them cannot work, or help is asked for.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Refusal> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    if is_plugin(&arguments) {
        let plugin = Plugin::try_parse_from(&arguments);
        return Ok(plugin.map_err(|error| blamed(error, &Plugin::command(), &arguments))?.into());
    }
    let command = Cli::command();
    let matches = command.clone().try_get_matches_from(&arguments);
    let matches = matches.map_err(|error| blamed(error, &command, &arguments))?;
    let file = file_of(&matches).map(|it| File::read(&it)).transpose()?;
    let (matches, command) = match &file {
        None => (matches, command),
        Some(file) => {
            check(file, &command)?;
            let command = with_defaults(command, file);
            (command.clone().try_get_matches_from(&arguments)?, command)
        }
    };
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let Some(args) = cli.command.serve_args_mut() {
        args.settings = settings(&command, &matches, file.as_ref());
        args.authentication = file.and_then(|it| it.authentication);
    }
    Ok(cli)
}

/// What is wrong with a command line, or with a variable of the environment: that is told by its own name, as nobody has
/// written a flag.
fn blamed(error: clap::Error, command: &Command, arguments: &[OsString]) -> Refusal {
    match from_environment(&error, command, arguments) {
        Some(arg) => {
            let variable = arg.get_env().unwrap_or_default().to_string_lossy();
            ConfigError::new(format!("{variable}: {}.", reason(&error, arg)), "Mend that, or unset the variable.")
                .into()
        }
        None => error.into(),
    }
}

/// The argument whose value does not do, where it is the environment that gives it.
fn from_environment<'a>(error: &clap::Error, command: &'a Command, arguments: &[OsString]) -> Option<&'a Arg> {
    let (ErrorKind::InvalidValue | ErrorKind::ValueValidation) = error.kind() else { return None };
    // As in `--listen <HOST:PORT>`.
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = named.split([' ', '=', '[']).next()?;
    let is_flag = |it: &str| it.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    if arguments.iter().any(|it| is_flag(&it.to_string_lossy())) {
        return None;
    }
    let arg = argument(command, flag.strip_prefix("--")?)?;
    std::env::var_os(arg.get_env()?).map(|_| arg)
}

/// What is called so in a command or in one of those below it: they all mean the same by it.
fn argument<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|it| it.get_long() == Some(long) && it.get_env().is_some());
    own.or_else(|| command.get_subcommands().find_map(|it| argument(it, long)))
}

/// Whether kubectl has called, or somebody by the name that it calls: `kubectl eventmesh` is a program of this name.
fn is_plugin(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|it| Path::new(it).file_stem().is_some_and(|it| it == PLUGIN))
}

/// The arguments that a configuration is made of: those of `serve`, and those of all commands.
pub fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    let serve = command.find_subcommand(SERVE).into_iter().flat_map(Command::get_arguments);
    let is_key = |it: &&Arg| !matches!(it.get_long(), None | Some("config" | "help" | "version"));
    command.get_arguments().chain(serve).filter(is_key)
}

/// The configuration file that the chosen command is to read.
fn file_of(matches: &ArgMatches) -> Option<PathBuf> {
    serving(matches)?.get_one::<PathBuf>("config").cloned()
}

/// What was said to the command that takes the arguments of `serve`.
fn serving(matches: &ArgMatches) -> Option<&ArgMatches> {
    match matches.subcommand()? {
        (SERVE, chosen) => Some(chosen),
        (CONFIG, chosen) => match chosen.subcommand()? {
            ("check" | "show", chosen) => Some(chosen),
            _ => None,
        },
        _ => None,
    }
}

/// Holds each key of a file against what its flag takes. What keys mean together is checked with the arguments.
fn check(file: &File, command: &Command) -> Result<(), ConfigError> {
    for (key, entry) in &file.entries {
        let Some(arg) = arguments(command).find(|it| it.get_long() == Some(key)) else {
            return Err(unknown(file, key, entry.line, command));
        };
        check_form(file, key, entry, arg)?;
        let alone = command.clone().try_get_matches_from(line_of(key, entry));
        alone.map_err(|error| file.error(key, entry.line, reason(&error, arg), "Mend that, or leave the key out."))?;
    }
    Ok(())
}

/// The command line that says the same as one key.
fn line_of(key: &str, entry: &Entry) -> Vec<String> {
    let words = entry.said.words().into_iter().map(|word| format!("--{key}={word}"));
    ["eventmesh-catalog".to_owned(), SERVE.to_owned()].into_iter().chain(words).collect()
}

fn unknown(file: &File, key: &str, line: u64, command: &Command) -> ConfigError {
    let nearest = arguments(command)
        .filter_map(Arg::get_long)
        .chain([AUTHENTICATION])
        .map(|it| (strsim::damerau_levenshtein(it, key), it))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    let remedy = match nearest {
        Some((_, nearest)) => format!("Write `{nearest}`, if that is meant; `config schema` has all keys."),
        None => "Leave it out; `eventmesh-catalog config schema` has all keys.".to_owned(),
    };
    file.error(key, line, "there is no such key", &remedy)
}

/// Whether the value is of the form that the flag takes.
fn check_form(file: &File, key: &str, entry: &Entry, arg: &Arg) -> Result<(), ConfigError> {
    let form = Form::of(arg);
    let fits = match &entry.said {
        Said::Switch(_) => form == Form::Switch,
        Said::Number(_) => form == Form::Number,
        Said::Text(_) => matches!(form, Form::Text | Form::List),
        Said::List(items) => form == Form::List && !items.is_empty(),
    };
    if fits { Ok(()) } else { Err(file.error(key, entry.line, "it is of another form", form.remedy())) }
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Switch,
    Number,
    Text,
    List,
    /// As only the file can say it, in JSON.
    Table,
}

impl Form {
    pub fn of(arg: &Arg) -> Self {
        let value = arg.get_value_parser().type_id();
        if value == std::any::TypeId::of::<bool>() {
            Self::Switch
        } else if value == std::any::TypeId::of::<u32>() || value == std::any::TypeId::of::<u64>() {
            Self::Number
        } else if matches!(arg.get_action(), ArgAction::Append) {
            Self::List
        } else {
            Self::Text
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Switch => "Write `true` or `false`, without quotes.",
            Self::Number => "Write a whole number, without quotes.",
            Self::Text => "Write a text; put it into quotes if it looks like a number, `true` or a list.",
            Self::List => "Write a text, or a list of at least one.",
            Self::Table => "Write a table.",
        }
    }
}

/// What clap has against a value, without what it says of command lines.
fn reason(error: &clap::Error, arg: &Arg) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    let values: Vec<_> = arg.get_possible_values().iter().map(|it| it.get_name().to_owned()).collect();
    match error.kind() {
        ErrorKind::InvalidValue if !values.is_empty() => format!("it is none of {}", values.join(", ")),
        ErrorKind::InvalidValue => "it is empty".to_owned(),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

/// What the file says takes the place of what is said where nobody says anything.
fn with_defaults(command: Command, file: &File) -> Command {
    let set = |command: Command| {
        file.entries.iter().fold(command, |command, (key, entry)| {
            let id = command.get_arguments().find(|it| it.get_long() == Some(key)).map(|it| it.get_id().clone());
            match id {
                Some(id) => command.mut_arg(id, |arg| arg.default_values(entry.said.words())),
                None => command,
            }
        })
    };
    let command = set(command).mut_subcommand(SERVE, set);
    command.mut_subcommand(CONFIG, |it| it.mut_subcommand("check", set).mut_subcommand("show", set))
}

/// Each key with its values, if it has any, and who gave them; by name.
fn settings(command: &Command, matches: &ArgMatches, file: Option<&File>) -> Vec<Setting> {
    let Some(chosen) = serving(matches) else { return vec![] };
    let setting = |arg: &Arg| {
        let id = arg.get_id().as_str();
        let key = arg.get_long()?.to_owned();
        let values = chosen.get_raw(id).into_iter().flatten().map(|it| it.to_string_lossy().into_owned()).collect();
        let in_file = file.and_then(|file| Some((file, file.entries.get(&key)?)));
        let source = match (chosen.value_source(id), in_file) {
            (Some(ValueSource::CommandLine), _) => Source::Flag,
            (Some(ValueSource::EnvVariable), _) => Source::Environment(arg.get_env()?.to_string_lossy().into_owned()),
            (_, Some((file, entry))) => Source::File(file.path.clone(), entry.line),
            _ => Source::Default,
        };
        Some(Setting { key, form: Form::of(arg), values, source })
    };
    let issuers = file.and_then(|it| it.authentication.as_ref()).map(|it| Setting {
        key: AUTHENTICATION.into(),
        form: Form::Table,
        values: vec![it.table.clone()],
        source: Source::File(it.path.clone(), it.line),
    });
    let mut settings: Vec<_> = arguments(command).filter_map(setting).chain(issuers).collect();
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    settings
}
