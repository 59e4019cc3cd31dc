//! The command line as `getopt_long(3)` of the GNU C library reads it: options and other words in
//! any order, short options in clusters (`-HMS 0`), values attached or apart (`-S0`, `-S 0`,
//! `--fpga-image-slot=0`), long options abbreviated as long as they are unambiguous, `--` as the
//! end of the options. Words that are no options are skipped, as the tools skip them.

/// What options a tool has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition {
    /// Short options; a colon follows those that take a value.
    pub(super) short: &'static str,
    /// Long options.
    pub(super) long: &'static [Long],
}

/// A long option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Long {
    pub(super) name: &'static str,
    /// The short option that it stands for. Some have none of their own in the usage text.
    pub(super) short: char,
    pub(super) takes_value: bool,
}

/// An option that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A flag, by its short option.
    Flag(char),
    /// An option with its value.
    Value(char, String),
    /// What is no option, or lacks its value, or has one that it must not have: the message, as
    /// the C library words it after the program's name.
    Mistake(String),
}

/// Reads a command line, option by option.
#[derive(Debug)]
pub(super) struct Options<'a> {
    definition: Definition,
    words: std::slice::Iter<'a, String>,
    /// The rest of a cluster of short options.
    cluster: &'a str,
}

impl<'a> Options<'a> {
    /// The options in these words, without the program's name.
    pub(super) fn new(definition: Definition, words: &'a [String]) -> Self {
        Self {
            definition,
            words: words.iter(),
            cluster: "",
        }
    }

    fn long(&mut self, text: &str) -> Found {
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let option = match self.definition.find(name) {
            Ok(option) => option,
            Err(mistake) => return Found::Mistake(mistake),
        };
        let Long { name, short, .. } = option;
        match (option.takes_value, attached) {
            (false, None) => Found::Flag(short),
            (false, Some(_)) => {
                Found::Mistake(format!("option '--{name}' doesn't allow an argument"))
            }
            (true, Some(value)) => Found::Value(short, value.to_owned()),
            (true, None) => match self.words.next() {
                Some(value) => Found::Value(short, value.clone()),
                None => Found::Mistake(format!("option '--{name}' requires an argument")),
            },
        }
    }

    fn short(&mut self, option: char) -> Found {
        match self.definition.takes_value(option) {
            None => Found::Mistake(format!("invalid option -- '{option}'")),
            Some(false) => Found::Flag(option),
            Some(true) => {
                let attached = std::mem::take(&mut self.cluster);
                match (attached, self.words.as_slice().first()) {
                    ("", None) => {
                        Found::Mistake(format!("option requires an argument -- '{option}'"))
                    }
                    ("", Some(value)) => {
                        self.words.next();
                        Found::Value(option, value.clone())
                    }
                    (value, _) => Found::Value(option, value.to_owned()),
                }
            }
        }
    }
}

impl Iterator for Options<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let mut cluster = self.cluster.chars();
            if let Some(option) = cluster.next() {
                self.cluster = cluster.as_str();
                return Some(self.short(option));
            }
            let word = self.words.next()?;
            match (word.strip_prefix("--"), word.strip_prefix('-')) {
                (Some(""), _) => {
                    self.words = Default::default();
                    return None;
                }
                (Some(long), _) => return Some(self.long(long)),
                // A lone dash is no option.
                (None, Some(rest)) => self.cluster = rest,
                (None, None) => {}
            }
        }
    }
}

impl Definition {
    /// The long option of this name, or the one that it abbreviates.
    fn find(&self, name: &str) -> Result<Long, String> {
        if let Some(exact) = self.long.iter().find(|option| option.name == name) {
            return Ok(*exact);
        }
        let mut candidates = self.long.iter().filter(|o| o.name.starts_with(name));
        let Some(first) = candidates.next() else {
            return Err(format!("unrecognized option '--{name}'"));
        };
        if candidates.next().is_none() {
            return Ok(*first);
        }
        let names = self.long.iter().filter(|o| o.name.starts_with(name));
        let possible: Vec<String> = names
            .map(|option| format!(" '--{}'", option.name))
            .collect();
        Err(format!(
            "option '--{name}' is ambiguous; possibilities:{}",
            possible.concat()
        ))
    }

    /// Whether a short option takes a value; `None` when there is no such option.
    fn takes_value(&self, option: char) -> Option<bool> {
        let (_, after) = self.short.split_once(option).filter(|_| option != ':')?;
        Some(after.starts_with(':'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: Definition = Definition {
        short: "S:AH?",
        long: &[
            Long {
                name: "slot",
                short: 'S',
                takes_value: true,
            },
            Long {
                name: "async",
                short: 'A',
                takes_value: false,
            },
            Long {
                name: "headers",
                short: 'H',
                takes_value: false,
            },
            Long {
                name: "help",
                short: 'h',
                takes_value: false,
            },
        ],
    };

    fn read(line: &str) -> Vec<Found> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Options::new(DEFINITION, &words).collect()
    }

    fn value(text: &str) -> Found {
        Found::Value('S', text.to_owned())
    }

    fn mistake(text: &str) -> Vec<Found> {
        vec![Found::Mistake(text.to_owned())]
    }

    #[test]
    fn values_are_attached_or_apart() {
        for line in [
            "-S 7",
            "-S7",
            "--slot 7",
            "--slot=7",
            "--sl=7",
            "word -S 7 - more",
        ] {
            assert_eq!(read(line), [value("7")], "{line}");
        }
        assert_eq!(read("-S -1"), [value("-1")]);
        assert_eq!(read("-S --"), [value("--")]);
        assert_eq!(read("--slot="), [value("")]);
        assert_eq!(
            read("-HAS7"),
            [Found::Flag('H'), Found::Flag('A'), value("7")]
        );
        assert_eq!(read("-SH"), [value("H")]);
        assert_eq!(read("-H -- -A"), [Found::Flag('H')]);
    }

    #[test]
    fn mistakes_are_worded_as_the_c_library_words_them() {
        assert_eq!(read("-S"), mistake("option requires an argument -- 'S'"));
        assert_eq!(
            read("--slot"),
            mistake("option '--slot' requires an argument")
        );
        assert_eq!(
            read("--async=1"),
            mistake("option '--async' doesn't allow an argument")
        );
        assert_eq!(read("-x"), mistake("invalid option -- 'x'"));
        assert_eq!(read("-:"), mistake("invalid option -- ':'"));
        assert_eq!(read("--no"), mistake("unrecognized option '--no'"));
        assert_eq!(
            read("--he"),
            mistake("option '--he' is ambiguous; possibilities: '--headers' '--help'")
        );
    }

    #[test]
    fn a_mistake_does_not_end_the_options() {
        assert_eq!(read("-xA").last(), Some(&Found::Flag('A')));
    }
}
