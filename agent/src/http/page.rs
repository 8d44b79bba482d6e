//! The status page: what runs here, for a person with a browser. No script; it draws itself again every few seconds.

use std::fmt::{self, Display, Formatter, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use zv_api::{Happening, Happenings, Host, RuntimeState, Service, Snapshot, Stack};

const STYLE: &str = include_str!("page/style.css");

/// Nothing but the page's own style may load or run.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// Draws the page.
pub(super) fn render(snapshot: &Snapshot, happenings: &Happenings) -> String {
    let mut page = String::with_capacity(16 * 1024);
    // Writing to a string cannot fail.
    draw(&mut page, snapshot, happenings).expect("a string takes all that is written to it");
    page
}

fn draw(page: &mut String, snapshot: &Snapshot, happenings: &Happenings) -> fmt::Result {
    let now = snapshot.at;
    head(page, &snapshot.host, worst(&snapshot.stacks))?;
    summary(page, snapshot)?;
    if snapshot.stacks.is_empty() {
        page.push_str("<p class=empty>No stack runs on this host.</p>");
    }
    for stack in &snapshot.stacks {
        draw_stack(page, stack)?;
    }
    draw_happenings(page, &happenings.happenings, now)?;
    write!(
        page,
        "<footer>zv {} · <a href=/api/zv/v1/stack>JSON</a> · drawn {}, again every 5 s</footer></main>",
        Text(&snapshot.version),
        now.format("%Y-%m-%d %H:%M:%S UTC"),
    )
}

fn head(page: &mut String, host: &Host, status: &str) -> fmt::Result {
    let (_, glyph) = look(status);
    write!(
        page,
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta http-equiv=refresh content=5>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><meta name=color-scheme content=\"light dark\">\
         <title>{glyph} {} · zv</title><style>{STYLE}</style></head><body><main>",
        Text(&host.name)
    )
}

fn summary(page: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let services = || snapshot.stacks.iter().flat_map(|stack| &stack.services);
    write!(page, "<header><h1>{}</h1><p class=runtime>", Text(&snapshot.host.name))?;
    match &snapshot.runtime {
        RuntimeState::Connecting => page.push_str("<b class=warn>◌ connecting</b> to the runtime"),
        RuntimeState::Up { kind, version, api_version } => {
            write!(page, "<b class=good>● {}</b> {}", Text(kind), Text(version))?;
            if !api_version.is_empty() {
                write!(page, " <span class=dim>API {}</span>", Text(api_version))?;
            }
        }
        RuntimeState::Down { since, reason } => {
            let ago = Ago(snapshot.at - since);
            write!(page, "<b class=bad>✕ runtime away</b> for {ago}: {}", Text(reason))?;
        }
    }
    page.push_str("</p><ul class=tally>");
    for status in ["down", "degraded", "unknown", "starting", "stopped", "finished", "ok"] {
        let count = services().filter(|service| service.status == status).count();
        if count > 0 {
            let (class, glyph) = look(status);
            write!(page, "<li class={class}><b>{count}</b> {glyph} {status}</li>")?;
        }
    }
    page.push_str("</ul></header>");
    Ok(())
}

fn draw_stack(page: &mut String, stack: &Stack) -> fmt::Result {
    write!(
        page,
        "<section><h2>{}</h2><table class=services><thead><tr><th>Service<th>Status<th class=number>Healthy<th>Reason</tr></thead><tbody>",
        Text(&stack.name)
    )?;
    for service in &stack.services {
        draw_service(page, service)?;
    }
    page.push_str("</tbody></table></section>");
    Ok(())
}

fn draw_service(page: &mut String, service: &Service) -> fmt::Result {
    let (class, glyph) = look(&service.status);
    let count = match service.status.as_str() {
        // It has done its work: nothing is missing.
        "finished" => "–".to_owned(),
        "unknown" => format!("?/{}", service.desired),
        _ => format!("{}/{}", service.healthy, service.desired),
    };
    write!(
        page,
        "<tr><td class=name>{}<td class=\"status {class}\"><span class=glyph>{glyph}</span> {}\
         <td class=number>{}<td class=reason>{}</tr>",
        Text(&service.name),
        Text(&service.status),
        count,
        Text(service.reason.as_deref().unwrap_or_default()),
    )
}

fn draw_happenings(page: &mut String, happenings: &[Happening], now: DateTime<Utc>) -> fmt::Result {
    if happenings.is_empty() {
        return Ok(());
    }
    page.push_str("<section><h2>Last happenings</h2><table class=happenings><tbody>");
    for happening in happenings.iter().rev() {
        let at = happening.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(
            page,
            "<tr><td class=time><time datetime=\"{at}\" title=\"{at}\">{} ago</time><td class=name>{}<td class=kind>{}<td class=reason>{}</tr>",
            Ago(now - happening.at),
            Text(&happening.name),
            Text(&happening.kind),
            Text(&happening.text),
        )?;
    }
    page.push_str("</tbody></table></section>");
    Ok(())
}

/// Returns the class and the glyph of a status: colour alone never tells it.
fn look(status: &str) -> (&'static str, &'static str) {
    match status {
        "ok" => ("good", "●"),
        "finished" => ("quiet", "✓"),
        "stopped" => ("quiet", "■"),
        "starting" => ("warn", "◌"),
        "degraded" => ("warn", "▲"),
        "down" => ("bad", "✕"),
        _ => ("unknown", "?"),
    }
}

/// Returns the status that a person should know of first: the browser's tab shows it.
fn worst(stacks: &[Stack]) -> &'static str {
    let is = |status: &str| {
        stacks.iter().flat_map(|stack| &stack.services).any(|service| service.status == status)
    };
    ["down", "degraded", "unknown", "starting"].into_iter().find(|status| is(status)).unwrap_or("ok")
}

/// Text from outside, made harmless inside an element or a quoted attribute.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Terminal sequences and other control characters have no place in a page.
                control if control.is_control() && control != '\n' => f.write_char('\u{fffd}')?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}

/// A span in its largest unit.
struct Ago(chrono::TimeDelta);

impl Display for Ago {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.num_seconds().max(0) {
            seconds @ 0..60 => write!(f, "{seconds}s"),
            seconds @ 60..3600 => write!(f, "{}m", seconds / 60),
            seconds @ 3600..172_800 => write!(f, "{}h", seconds / 3600),
            seconds => write!(f, "{}d", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        let drawn = Text("<img src=x onerror=\"a\" b='c'> &amp; \u{1b}[31m").to_string();
        assert_eq!(drawn, "&lt;img src=x onerror=&quot;a&quot; b=&#39;c&#39;&gt; &amp;amp; \u{fffd}[31m");
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        let told = |seconds| Ago(chrono::TimeDelta::seconds(seconds)).to_string();
        assert_eq!([-5, 0, 59, 60, 3599, 3600].map(told), ["0s", "0s", "59s", "1m", "59m", "1h"]);
        assert_eq!([172_799, 172_800].map(told), ["47h", "2d"]);
    }
}
