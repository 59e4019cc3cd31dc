//! Clock recipes: which frequencies the shell gives to an image.
//!
//! The frequencies are those of [`afi_proto::clocks`].

use std::fmt;

use afi_proto::mailbox::{CLOCKS_PER_GROUP, ClockGroups};
use afi_proto::{ClockGroup, Family};
use serde::Deserialize;

/// The recipes of an image's three clock groups, as its manifest names them: `A1`, `B0`, `C0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockRecipes {
    a: usize,
    b: usize,
    c: usize,
}

impl ClockRecipes {
    /// The recipes of an image that names none.
    pub fn default_of(family: Family) -> Self {
        let of = |group: ClockGroup| usize::from(group.default_recipe(family).number());
        Self {
            a: of(ClockGroup::A),
            b: of(ClockGroup::B),
            c: of(ClockGroup::C),
        }
    }

    /// Replaces the recipe of the group that a name such as `B3` begins with.
    pub fn with(mut self, name: &str) -> Result<Self, ParseClockRecipeError> {
        let wrong = || ParseClockRecipeError {
            name: name.to_owned(),
        };
        let mut characters = name.chars();
        let group = characters.next().ok_or_else(wrong)?;
        let number = characters.as_str().parse::<usize>().map_err(|_| wrong())?;
        let (recipe, known) = match group {
            'A' => (&mut self.a, known(ClockGroup::A)),
            'B' => (&mut self.b, known(ClockGroup::B)),
            'C' => (&mut self.c, known(ClockGroup::C)),
            _ => return Err(wrong()),
        };
        if number >= known || characters.as_str().len() != 1 {
            return Err(wrong());
        }
        *recipe = number;
        Ok(self)
    }

    /// The names of the recipes, such as `A1`, `B0` and `C0`.
    pub fn names(self) -> [String; 3] {
        [
            format!("A{}", self.a),
            format!("B{}", self.b),
            format!("C{}", self.c),
        ]
    }

    /// The frequencies in Hz.
    pub fn frequencies(self, family: Family) -> ClockGroups {
        let of = |group: ClockGroup, number: usize| padded(group.recipes(family)[number]);
        [
            of(ClockGroup::A, self.a),
            of(ClockGroup::B, self.b),
            of(ClockGroup::C, self.c),
        ]
    }
}

impl fmt::Debug for ClockRecipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A{} B{} C{}", self.a, self.b, self.c)
    }
}

/// How many recipes a group has, which is the same in every family.
fn known(group: ClockGroup) -> usize {
    group.recipes(Family::F1).len()
}

/// With zeros for the clocks that the group does not have.
fn padded(frequencies: &[u64]) -> [u64; CLOCKS_PER_GROUP] {
    let mut group = [0; CLOCKS_PER_GROUP];
    group[..frequencies.len()].copy_from_slice(frequencies);
    group
}

/// A name that is no recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no clock recipe of this group; wanted A0 to A2, B0 to B5 or C0 to C3")]
pub struct ParseClockRecipeError {
    name: String,
}

/// The recipes that an image names, in a catalogue.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedRecipes {
    a: Option<String>,
    b: Option<String>,
    c: Option<String>,
}

impl NamedRecipes {
    /// Fills in the defaults.
    pub(super) fn resolve(&self, family: Family) -> Result<ClockRecipes, ParseClockRecipeError> {
        let named = [('A', &self.a), ('B', &self.b), ('C', &self.c)];
        let mut recipes = ClockRecipes::default_of(family);
        for (group, name) in named {
            let Some(name) = name else { continue };
            if !name.starts_with(group) {
                return Err(ParseClockRecipeError { name: name.clone() });
            }
            recipes = recipes.with(name)?;
        }
        Ok(recipes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_are_those_of_the_public_tables() {
        let f1 = ClockRecipes::default_of(Family::F1).with("A1").unwrap();
        let groups = f1.frequencies(Family::F1);
        assert_eq!(
            groups[0][..4],
            [250_000_000, 125_000_000, 375_000_000, 500_000_000]
        );
        assert_eq!(groups[1][..3], [250_000_000, 125_000_000, 0]);
        assert_eq!(groups[2][..2], [300_000_000, 400_000_000]);
        let f2 = ClockRecipes::default_of(Family::F2).frequencies(Family::F2);
        assert_eq!((f2[0][0], f2[1][0]), (250_000_000, 450_000_000));
        let slow = ClockRecipes::default_of(Family::F2).with("A2").unwrap();
        assert_eq!(slow.frequencies(Family::F2)[0][0], 250_000_000);
    }

    #[test]
    fn unknown_recipes_are_refused() {
        for name in ["", "A", "A3", "B6", "C4", "D0", "a0", "A01", "B-1", "Ä1"] {
            let recipes = ClockRecipes::default_of(Family::F1);
            assert!(recipes.with(name).is_err(), "{name}");
        }
        let swapped = NamedRecipes {
            a: Some("B0".to_owned()),
            ..NamedRecipes::default()
        };
        assert!(swapped.resolve(Family::F1).is_err());
    }
}
