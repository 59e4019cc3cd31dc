//! Clock recipes: which frequencies the clocks of a design get.
//!
//! Source: `hdk/docs/clock_recipes.csv` on the `master` branch (F1), and
//! `hdk/docs/Clock_Recipes_User_Guide.md` (F2).

use std::fmt;
use std::str::FromStr;

use crate::Family;
use crate::text::serde_as_text;

/// A group of clocks that one recipe sets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ClockGroup {
    /// `clk_main_a0` and `clk_extra_a1` to `a3`.
    A,
    /// `clk_extra_b0` and `b1`.
    B,
    /// `clk_extra_c0` and `c1`.
    C,
    /// `clk_hbm_axi`, on F2.
    Hbm,
}

impl ClockGroup {
    /// Every group.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::Hbm];

    /// What the names of its recipes begin with.
    pub const fn letter(self) -> char {
        match self {
            Self::A => 'A',
            Self::B => 'B',
            Self::C => 'C',
            Self::Hbm => 'H',
        }
    }

    /// Its clocks, in the order of [`Self::recipes`].
    pub const fn clocks(self) -> &'static [&'static str] {
        match self {
            Self::A => &[
                "clk_main_a0",
                "clk_extra_a1",
                "clk_extra_a2",
                "clk_extra_a3",
            ],
            Self::B => &["clk_extra_b0", "clk_extra_b1"],
            Self::C => &["clk_extra_c0", "clk_extra_c1"],
            Self::Hbm => &["clk_hbm_axi"],
        }
    }

    /// Its recipes by their number: the frequency of each clock in Hz. Empty where the family has
    /// no such clocks.
    pub const fn recipes(self, family: Family) -> &'static [&'static [u64]] {
        match (self, family) {
            (Self::A, Family::F1) => &F1_A,
            (Self::A, Family::F2) => &F2_A,
            (Self::B, _) => &B,
            (Self::C, _) => &C,
            (Self::Hbm, Family::F1) => &[],
            (Self::Hbm, Family::F2) => &F2_HBM,
        }
    }

    /// The number of its recipe in an image whose manifest names none. F1: `AFI_Manifest.md` for B
    /// and C, `aws_build_dcp_from_cl.sh` for A. F2: what `aws_build_dcp_from_cl.py` writes unless
    /// it is told otherwise.
    pub const fn default_recipe(self, family: Family) -> ClockRecipe {
        let number = match (self, family) {
            (_, Family::F1) | (Self::C, Family::F2) => 0,
            (Self::A, Family::F2) => 1,
            (Self::B | Self::Hbm, Family::F2) => 2,
        };
        ClockRecipe {
            group: self,
            number,
        }
    }
}

/// `clk_main_a0`, `clk_extra_a1`, `a2`, `a3`.
const F1_A: [&[u64]; 3] = [
    &[125_000_000, 62_500_000, 187_500_000, 250_000_000],
    &[250_000_000, 125_000_000, 375_000_000, 500_000_000],
    &[15_625_000, 15_625_000, 125_000_000, 62_500_000],
];

/// The same on F2, where `clk_main_a0` is always 250 MHz.
const F2_A: [&[u64]; 3] = [
    &[250_000_000, 62_500_000, 187_500_000, 250_000_000],
    &[250_000_000, 125_000_000, 375_000_000, 500_000_000],
    &[250_000_000, 15_625_000, 125_000_000, 62_500_000],
];

/// `clk_extra_b0`, `b1`.
const B: [&[u64]; 6] = [
    &[250_000_000, 125_000_000],
    &[125_000_000, 62_500_000],
    &[450_000_000, 225_000_000],
    &[250_000_000, 62_500_000],
    &[300_000_000, 75_000_000],
    &[400_000_000, 100_000_000],
];

/// `clk_extra_c0`, `c1`.
const C: [&[u64]; 4] = [
    &[300_000_000, 400_000_000],
    &[150_000_000, 200_000_000],
    &[75_000_000, 100_000_000],
    &[200_000_000, 266_667_000],
];

/// `clk_hbm_axi`.
const F2_HBM: [&[u64]; 5] = [
    &[250_000_000],
    &[125_000_000],
    &[450_000_000],
    &[300_000_000],
    &[400_000_000],
];

/// A recipe by its name: `A1`, `B0`, `H2`. That it has a name does not say that a family has it:
/// see [`Self::frequencies`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClockRecipe {
    group: ClockGroup,
    number: u8,
}

impl ClockRecipe {
    /// The group that it sets.
    pub const fn group(self) -> ClockGroup {
        self.group
    }

    /// Its number in the group, 0 to 9.
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The frequencies in Hz of the group's clocks; `None` where the family has no such recipe.
    pub fn frequencies(self, family: Family) -> Option<&'static [u64]> {
        let recipes = self.group.recipes(family);
        recipes.get(usize::from(self.number)).copied()
    }
}

impl fmt::Display for ClockRecipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.group.letter(), self.number)
    }
}

impl fmt::Debug for ClockRecipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ClockRecipe {
    type Err = ParseClockRecipeError;

    fn from_str(text: &str) -> Result<Self, ParseClockRecipeError> {
        let parse = || {
            let mut characters = text.chars();
            let letter = characters.next()?;
            let group = ClockGroup::ALL.into_iter().find(|g| g.letter() == letter)?;
            let number = characters.next()?.to_digit(10)?;
            let number = u8::try_from(number).ok()?;
            characters
                .next()
                .is_none()
                .then_some(Self { group, number })
        };
        parse().ok_or_else(|| ParseClockRecipeError {
            text: text.to_owned(),
        })
    }
}

serde_as_text!(ClockRecipe);

/// A text that cannot be the name of a clock recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not the name of a clock recipe; wanted a group (A, B, C or H) and a digit, such as A1"
)]
pub struct ParseClockRecipeError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_recipe_has_a_frequency_for_every_clock_of_its_group() {
        for family in Family::ALL {
            for group in ClockGroup::ALL {
                for recipe in group.recipes(family) {
                    assert_eq!(recipe.len(), group.clocks().len(), "{family} {group:?}");
                }
            }
        }
    }

    #[test]
    fn the_recipe_of_an_image_that_names_none_exists() {
        let names = |family| ClockGroup::ALL.map(|group| group.default_recipe(family).to_string());
        assert_eq!(names(Family::F1)[..3], ["A0", "B0", "C0"]);
        assert_eq!(names(Family::F2), ["A1", "B2", "C0", "H2"]);
    }

    #[test]
    fn a_recipe_has_the_frequencies_of_its_family() {
        let of = |name: &str, family| name.parse::<ClockRecipe>().unwrap().frequencies(family);
        assert_eq!(of("A0", Family::F1).unwrap()[0], 125_000_000);
        assert_eq!(of("A0", Family::F2).unwrap()[0], 250_000_000);
        assert_eq!(of("C3", Family::F1).unwrap()[1], 266_667_000);
        assert_eq!(of("H4", Family::F2), Some(&[400_000_000][..]));
        assert_eq!(of("H0", Family::F1), None);
        assert_eq!(of("B6", Family::F2), None);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "A", "a0", "A10", "A-1", "D0", "Ä1", "A1 "] {
            let error = text.parse::<ClockRecipe>().unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("such as A1"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_name_survives(text: String) {
            if let Ok(recipe) = text.parse::<ClockRecipe>() {
                prop_assert_eq!(recipe.to_string(), text);
            }
        }
    }
}
