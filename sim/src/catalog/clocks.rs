//! Clock recipes: which frequencies the shell gives to an image.
//!
//! Source: `hdk/docs/clock_recipes.csv` (F1) and `hdk/docs/Clock_Recipes_User_Guide.md` (F2).

use std::fmt;

use afi_proto::Family;
use afi_proto::mailbox::{CLOCKS_PER_GROUP, ClockGroups};
use serde::Deserialize;

/// The recipes of an image's three clock groups, as its manifest names them: `A1`, `B0`, `C0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockRecipes {
    a: usize,
    b: usize,
    c: usize,
}

impl ClockRecipes {
    /// The recipes of an image that names none. F1: those of `AFI_Manifest.md` for B and C (B0, C0)
    /// and of `aws_build_dcp_from_cl.sh` for A (A0). F2: those of `aws_build_dcp_from_cl.py`.
    pub const fn default_of(family: Family) -> Self {
        match family {
            Family::F1 => Self { a: 0, b: 0, c: 0 },
            Family::F2 => Self { a: 1, b: 2, c: 0 },
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
            'A' => (&mut self.a, F1_A.len()),
            'B' => (&mut self.b, B.len()),
            'C' => (&mut self.c, C.len()),
            _ => return Err(wrong()),
        };
        if number >= known || characters.as_str().len() != 1 {
            return Err(wrong());
        }
        *recipe = number;
        Ok(self)
    }

    /// The frequencies in Hz.
    pub fn frequencies(self, family: Family) -> ClockGroups {
        let a = match family {
            Family::F1 => F1_A[self.a],
            Family::F2 => F2_A[self.a],
        };
        [group(&a), group(&B[self.b]), group(&C[self.c])]
    }
}

impl fmt::Debug for ClockRecipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A{} B{} C{}", self.a, self.b, self.c)
    }
}

/// `clk_main_a0`, `clk_extra_a1`, `a2`, `a3`.
const F1_A: [[u64; 4]; 3] = [
    [125_000_000, 62_500_000, 187_500_000, 250_000_000],
    [250_000_000, 125_000_000, 375_000_000, 500_000_000],
    [15_625_000, 15_625_000, 125_000_000, 62_500_000],
];

/// The same on F2, where `clk_main_a0` is always 250 MHz.
const F2_A: [[u64; 4]; 3] = [
    [250_000_000, 62_500_000, 187_500_000, 250_000_000],
    [250_000_000, 125_000_000, 375_000_000, 500_000_000],
    [250_000_000, 15_625_000, 125_000_000, 62_500_000],
];

/// `clk_extra_b0`, `b1`.
const B: [[u64; 2]; 6] = [
    [250_000_000, 125_000_000],
    [125_000_000, 62_500_000],
    [450_000_000, 225_000_000],
    [250_000_000, 62_500_000],
    [300_000_000, 75_000_000],
    [400_000_000, 100_000_000],
];

/// `clk_extra_c0`, `c1`.
const C: [[u64; 2]; 4] = [
    [300_000_000, 400_000_000],
    [150_000_000, 200_000_000],
    [75_000_000, 100_000_000],
    [200_000_000, 266_667_000],
];

fn group(frequencies: &[u64]) -> [u64; CLOCKS_PER_GROUP] {
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
