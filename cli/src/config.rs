//! `zv config`: checks, prints and describes the agent's configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::connect;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::linked;
use crate::paint::{Line, Style};

const CHECK_HELP: &str = "\
All mistakes are told at once, each with its file, line and column. The exit code is 0 when the configuration is sound \
(warnings included) and 1 when it is not.

Examples:
  zv config check
  zv config check /etc/zv/zv.yaml
  zv config check --json | jq -r '.mistakes[].text'";

const PRINT_HELP: &str = "\
What is printed is the file, the environment and the defaults put together, each value with its origin. Secrets are \
masked.

Examples:
  zv config print
  ZV_LISTEN=0.0.0.0:9780 zv config print /etc/zv/zv.yaml";

const SCHEMA_HELP: &str = "\
An editor with a YAML language server completes and explains keys with it.

Examples:
  zv config schema > zv.schema.json
  # yaml-language-server: $schema=zv.schema.json";

/// Check, print or describe the agent's configuration
#[derive(Debug, Clone, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The commands below `config`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration and tell all its mistakes
    #[command(after_help = CHECK_HELP)]
    Check(FileArgs),
    /// Print the effective configuration
    #[command(after_help = PRINT_HELP)]
    Print(FileArgs),
    /// Print the JSON schema of zv.yaml
    #[command(after_help = SCHEMA_HELP)]
    Schema,
}

/// Which file.
#[derive(Debug, Clone, Args)]
pub struct FileArgs {
    /// The file; else --config, else zv.yaml here, else /etc/zv/zv.yaml
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// What a check found. `--json` prints it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The file that was read; none is fine.
    pub file: Option<String>,
    pub mistakes: Vec<Finding>,
    /// Mistakes that were counted and not kept.
    pub more: usize,
    pub warnings: Vec<Finding>,
}

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `FILE:LINE:COLUMN`, a variable or an option.
    pub place: String,
    pub text: String,
}

/// Runs the command.
pub fn run(args: &ConfigArgs, options: &connect::Options, console: &mut Console) -> Outcome {
    let file = |args: &FileArgs| args.file.clone().or_else(|| options.config.clone());
    match &args.command {
        ConfigCommand::Check(args) => {
            let findings = linked::check_config(file(args));
            if options.json {
                console.json(&findings)?;
            } else {
                console.lines(&lines(&findings))?;
            }
            if findings.mistakes.is_empty() { Ok(()) } else { Err(Failure::Told) }
        }
        ConfigCommand::Print(args) => {
            let text = linked::effective_config(file(args))?;
            if options.json {
                return console.json(&serde_json::json!({ "yaml": text }));
            }
            console.raw(text.as_bytes())
        }
        ConfigCommand::Schema => console.json(linked::config_schema()),
    }
}

/// Renders what a check found.
pub fn lines(findings: &Findings) -> Vec<Line> {
    let finding = |finding: &Finding, word: &str, style: Style| {
        Line::of(format!("{}: ", finding.place), Style::Strong)
            .with(word, style)
            .with(format!(": {}", finding.text), Style::Plain)
    };
    let mut lines: Vec<Line> = findings.mistakes.iter().map(|m| finding(m, "mistake", Style::Bad)).collect();
    lines.extend(findings.warnings.iter().map(|w| finding(w, "warning", Style::Warn)));
    let file = findings.file.as_deref().unwrap_or("no file: the defaults");
    lines.push(match findings.mistakes.len() + findings.more {
        0 => Line::of("✓ ", Style::Good).with(format!("Sound ({file})."), Style::Plain),
        1 => Line::of("✖ ", Style::Bad).with("1 mistake.", Style::Plain),
        count if findings.more > 0 => {
            let text = format!("{count} mistakes, the first {} are shown.", findings.mistakes.len());
            Line::of("✖ ", Style::Bad).with(text, Style::Plain)
        }
        count => Line::of("✖ ", Style::Bad).with(format!("{count} mistakes."), Style::Plain),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::{self, Palette};

    #[test]
    fn all_mistakes_are_told_with_their_place() {
        let finding = |place: &str, text: &str| Finding { place: place.into(), text: text.into() };
        let mut findings = Findings {
            file: Some("zv.yaml".into()),
            mistakes: vec![
                finding("zv.yaml:3:1", "unknown key `stak`; did you mean `stack`?"),
                finding("ZV_LISTEN", "no port"),
            ],
            warnings: vec![finding("ZV_TOKE", "no such variable is known")],
            more: 0,
        };
        assert_eq!(
            paint::render(&lines(&findings), Palette::Mono),
            "\
zv.yaml:3:1: mistake: unknown key `stak`; did you mean `stack`?
ZV_LISTEN: mistake: no port
ZV_TOKE: warning: no such variable is known
✖ 2 mistakes.
"
        );
        findings.more = 5;
        assert!(
            paint::render(&lines(&findings), Palette::Mono)
                .ends_with("✖ 7 mistakes, the first 2 are shown.\n")
        );
        let sound = Findings::default();
        assert_eq!(paint::render(&lines(&sound), Palette::Mono), "✓ Sound (no file: the defaults).\n");
    }
}
