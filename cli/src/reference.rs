//! The reference of the command line as Markdown, made from its definition: `docs/cli.md`.

use std::fmt::Write;

use clap::{Arg, Command};

const INTRODUCTION: &str = "\
# The command line

This page is generated from the definition of the command line; `zv COMMAND --help` says the same in the terminal.
";

/// Returns the whole page. It is the same on every machine: neither the environment nor a terminal changes it.
pub fn page(mut definition: Command) -> String {
    definition.build();
    let mut out = INTRODUCTION.to_owned();
    let name = definition.get_name().to_owned();
    section(&mut out, &definition, &name, true);
    visible(&definition).for_each(|command| commands(&mut out, command, &name));
    out
}

/// Writes a command and those below it.
fn commands(out: &mut String, command: &Command, path: &str) {
    let path = format!("{path} {}", command.get_name());
    section(out, command, &path, false);
    visible(command).for_each(|command| commands(out, command, &path));
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn section(out: &mut String, command: &Command, path: &str, globals: bool) {
    line(out, &format!("\n## {path}\n"));
    if let Some(about) = command.get_about() {
        line(out, &format!("{about}.\n"));
    }
    let usage = command.clone().render_usage().to_string();
    let usage =
        usage.trim_start_matches("Usage:").trim().lines().map(str::trim).collect::<Vec<_>>().join("\n");
    line(out, &format!("```text\n{usage}\n```"));
    let mut below = visible(command).peekable();
    if below.peek().is_some() {
        line(out, "\n| command | |\n|---|---|");
        for command in below {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            line(out, &format!("| `{}` | {} |", command.get_name(), cell(&about)));
        }
    }
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && (globals || !arg.is_global_set()))
        .filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
        .collect();
    if !shown.is_empty() {
        line(
            out,
            if globals {
                "\n| option of every command | |\n|---|---|"
            } else {
                "\n| argument | |\n|---|---|"
            },
        );
        for arg in shown {
            line(out, &format!("| {} | {} |", names(arg), cell(&help(arg))));
        }
    }
    if let Some(more) = command.get_after_help() {
        more.to_string().trim_end().split("\n\n").for_each(|block| line(out, &prose(block)));
    }
}

/// Returns a paragraph as it is, and one with indented lines as it stands.
fn prose(block: &str) -> String {
    if block.lines().any(|line| line.starts_with(' ')) {
        format!("\n```text\n{block}\n```")
    } else {
        format!("\n{block}")
    }
}

/// Returns how an argument is written: `-f`, `--follow`; `--since TIME`; `SERVICE…`.
fn names(arg: &Arg) -> String {
    let values: Vec<String> =
        arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let takes_value = arg.get_action().takes_values();
    let several = arg.get_num_args().is_some_and(|range| range.max_values() > 1)
        || (arg.is_positional() && matches!(arg.get_action(), clap::ArgAction::Append));
    let value = if takes_value && !values.is_empty() { values.join(" ") } else { String::new() };
    let dots = if several { "…" } else { "" };
    if arg.is_positional() {
        return format!("`{}{dots}`", cell(&value));
    }
    let short = arg.get_short().map(|short| format!("`-{short}`"));
    let value = if value.is_empty() { value } else { format!(" {}{dots}", cell(&value)) };
    let long = arg.get_long().map(|long| format!("`--{long}{value}`"));
    short.into_iter().chain(long).collect::<Vec<_>>().join(", ")
}

fn help(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if let Some(variable) = arg.get_env() {
        text.push_str(&format!(" (`{}`)", variable.to_string_lossy()));
    }
    if arg.get_action().takes_values() {
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
        if !defaults.is_empty() {
            text.push_str(&format!(" (default: {})", defaults.join(", ")));
        }
        let possible: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !possible.is_empty() {
            text.push_str(&format!("One of {}", possible.join(", ")));
        }
    }
    text
}

/// Makes text fit for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}
