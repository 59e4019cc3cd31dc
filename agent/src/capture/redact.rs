//! A capture as text, without the names of users.
//!
//! A capture holds paths: of the bus, of the configuration file, in messages, and in the command
//! line of who holds a lock. In all of them the home of the user is written `~`, and that of any
//! other user `/home/-`.

use afi_pcie::capture::Capture;
use serde_json::Value;

/// Where homes are (Filesystem Hierarchy Standard 3.0, 3.8).
const HOMES: &str = "/home/";
/// What ends the name of a user in a path.
const ENDS: &[char] = &['/', ':', ' ', '\'', '"', ',', ';', '=', ')', '\n', '\t'];

/// The text of the file. `home` is the home directory of the user, where that is known.
pub fn to_text(capture: &Capture, home: Option<&str>) -> String {
    // The root's own directory, or none at all, would be found in every path.
    let home = home.map(|home| home.trim_end_matches('/'));
    let home = home.filter(|home| home.starts_with('/'));
    let mut value = crate::output::to_value(capture);
    redact(&mut value, home);
    let text = serde_json::to_string_pretty(&value);
    text.expect("maps have string keys and nothing else can fail") + "\n"
}

fn redact(value: &mut Value, home: Option<&str>) {
    match value {
        Value::String(text) => *text = without_users(text, home),
        Value::Array(values) => values.iter_mut().for_each(|value| redact(value, home)),
        Value::Object(fields) => fields.values_mut().for_each(|value| redact(value, home)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces the home of the user, then the names of others.
fn without_users(text: &str, home: Option<&str>) -> String {
    let own = home.map_or_else(|| text.to_owned(), |home| replace_directory(text, home));
    let mut parts = own.split(HOMES);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.find(ENDS).map_or("", |end| &part[end..]);
        result = result + HOMES + "-" + rest;
    }
    result
}

/// Replaces a directory by `~`, but not the beginning of a longer name.
fn replace_directory(text: &str, directory: &str) -> String {
    let mut parts = text.split(directory);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let whole = part.is_empty() || part.starts_with(ENDS);
        result += if whole { "~" } else { directory };
        result += part;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users_are_left_out_wherever_they_are() {
        for (text, expected) in [
            ("socket:/home/alice/sim", "socket:~/sim"),
            ("/home/alice", "~"),
            (
                "/home/alice2/x and /home/bob: no",
                "/home/-/x and /home/-: no",
            ),
            ("afi --config /home/bob", "afi --config /home/-"),
            ("/run/lock/afi", "/run/lock/afi"),
            ("", ""),
        ] {
            assert_eq!(without_users(text, Some("/home/alice")), expected);
        }
        assert_eq!(without_users("/root/x", Some("/root")), "~/x");
        assert_eq!(without_users("/root/x", None), "/root/x");
    }
}
