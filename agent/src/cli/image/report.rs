//! What a check found, as text and as JSON.

use afi_image::{Finding, Manifest, Report, Severity};
use afi_proto::{ClockRecipe, Family};
use serde_json::{Value, json};

use crate::output::{table, to_value, units};

/// Digits of a hash that are shown.
const HASH: usize = 16;

/// `2 errors`, `1 warning`.
pub(super) fn counted(report: &Report, severity: Severity) -> String {
    let count = report.count(severity);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {}{plural}", severity.name())
}

/// For programs.
pub(super) fn document(name: &str, report: &Report) -> Value {
    let mut document = json!({
        "source": name,
        "acceptable": report.is_acceptable(),
        "failure": report.failure(),
    });
    if let (Value::Object(document), Value::Object(report)) = (&mut document, to_value(report)) {
        document.extend(report);
    }
    document
}

/// For people.
pub(super) fn to_text(name: &str, report: &Report) -> String {
    let mut text = format!("{name}: {}\n", summary(report));
    text += &table::pairs(facts(report));
    let mut member = None;
    for finding in &report.findings {
        if member != Some(&finding.place.member) {
            member = Some(&finding.place.member);
            let whole = "the archive".to_owned();
            text += &format!("\n{}\n", finding.place.member.as_ref().unwrap_or(&whole));
        }
        text += &lines(finding);
    }
    if report.left_out > 0 {
        text += &format!("\nand {} more findings\n", report.left_out);
    }
    text
}

/// `91.5 MiB in 3 members, for F1: 1 error, 2 warnings`.
fn summary(report: &Report) -> String {
    let members = report.members.len();
    let plural = if members == 1 { "" } else { "s" };
    let family = report
        .family
        .map(|family| format!(", for {}", capital(family)));
    let family = family.unwrap_or_default();
    let found = [Severity::Error, Severity::Warning, Severity::Note];
    let found = found
        .into_iter()
        .filter(|severity| report.count(*severity) > 0);
    let found: Vec<String> = found.map(|severity| counted(report, severity)).collect();
    let found = if found.is_empty() {
        "nothing to object to".to_owned()
    } else {
        found.join(", ")
    };
    let size = units::about(report.bytes);
    format!("{size} in {members} member{plural}{family}: {found}")
}

/// What the manifest says, in a few lines.
fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let Some(manifest) = &report.manifest else {
        return facts;
    };
    if let Some(name) = &manifest.dcp_file_name {
        let hash = &manifest.dcp_hash;
        let hash = hash.as_ref().and_then(|hash| hash.get(..HASH));
        let hash = hash
            .map(|hash| format!(", SHA-256 {hash}…"))
            .unwrap_or_default();
        facts.push(("checkpoint", format!("{}{hash}", escaped(name))));
    }
    if let Some(ids) = manifest.ids {
        facts.push(("ids", ids.to_string()));
    }
    if let Some(version) = manifest.shell_version {
        let shell = Family::of_shell(version).and_then(|f| f.profile().shell(version));
        let name = shell
            .map(|shell| format!(" ({})", shell.name))
            .unwrap_or_default();
        facts.push(("shell", format!("{version}{name}")));
    }
    let clocks = clocks(manifest, report.family);
    if !clocks.is_empty() {
        facts.push(("clocks", clocks.join(", ")));
    }
    let tool = manifest
        .tool_version
        .as_ref()
        .map(|tool| format!("Vivado {tool}"));
    let hdk = manifest
        .hdk_version
        .as_ref()
        .map(|hdk| format!("HDK {hdk}"));
    let built: Vec<String> = tool
        .into_iter()
        .chain(hdk)
        .chain(manifest.date.clone())
        .collect();
    if !built.is_empty() {
        facts.push(("built", escaped(&built.join(", "))));
    }
    facts
}

/// `A0 125/62.5/187.5/250 MHz`.
fn clocks(manifest: &Manifest, family: Option<Family>) -> Vec<String> {
    let recipes = [
        manifest.clock_recipe_a,
        manifest.clock_recipe_b,
        manifest.clock_recipe_c,
        manifest.clock_recipe_hbm,
    ];
    let text = |recipe: ClockRecipe| {
        let frequencies = family.and_then(|family| recipe.frequencies(family));
        let texts = frequencies.map(|all| all.iter().map(|hz| (*hz as f64 / 1e6).to_string()));
        match texts {
            Some(texts) => format!("{recipe} {} MHz", texts.collect::<Vec<_>>().join("/")),
            None => recipe.to_string(),
        }
    };
    recipes.into_iter().flatten().map(text).collect()
}

/// A finding: place, severity and code in a line with what is wrong, the rest below it.
fn lines(finding: &Finding) -> String {
    let place = match (finding.place.line, finding.place.column, finding.place.byte) {
        (Some(line), Some(column), _) => format!("{line}:{column}"),
        (Some(line), None, _) => line.to_string(),
        (None, _, Some(byte)) => format!("@{byte}"),
        (None, _, None) => "-".to_owned(),
    };
    let code = finding.code.map_or("-", |code| code.name());
    let severity = finding.severity.name();
    let mut text = format!("  {place:<8}{severity:<9}{code:<26}{}\n", finding.message);
    let rest = [
        ("seen", &finding.seen),
        ("wanted", &finding.wanted),
        ("fix", &finding.fix),
    ];
    for (what, value) in rest {
        if let Some(value) = value {
            text += &format!("  {:17}{what:<8}{value}\n", "");
        }
    }
    text
}

fn capital(family: Family) -> String {
    family.to_string().to_uppercase()
}

/// A value of the manifest without what could harm a terminal.
fn escaped(value: &str) -> String {
    value
        .chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}
