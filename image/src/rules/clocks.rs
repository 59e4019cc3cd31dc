//! The clocks of the design: a recipe for each group, or a frequency as the scripts of Vitis give it.

use afi_proto::{ClockGroup, ClockRecipe, Family};

use super::shell::name;
use crate::FailureCode;
use crate::finding::{Finding, quoted};
use crate::manifest::key::Key;
use crate::manifest::{Lines, Value};
use crate::report::{Manifest, Report};

pub(super) fn check(
    lines: &Lines,
    family: Option<Family>,
    manifest: &mut Manifest,
    report: &mut Report,
) {
    for group in ClockGroup::ALL {
        let recipe = recipe(lines, group, family, report);
        let to = match group {
            ClockGroup::A => &mut manifest.clock_recipe_a,
            ClockGroup::B => &mut manifest.clock_recipe_b,
            ClockGroup::C => &mut manifest.clock_recipe_c,
            ClockGroup::Hbm => &mut manifest.clock_recipe_hbm,
        };
        *to = recipe;
        frequency(lines, group, family, report);
    }
}

fn recipe(
    lines: &Lines,
    group: ClockGroup,
    family: Option<Family>,
    report: &mut Report,
) -> Option<ClockRecipe> {
    let Some(value) = lines.get(Key::recipe_of(group)) else {
        missing(lines, group, family, report);
        return None;
    };
    if value.text.is_empty() {
        return None;
    }
    if family.is_some_and(|family| group.recipes(family).is_empty()) {
        let family = family.map(name).unwrap_or_default();
        let message = format!("{family} has no clocks of this group");
        let found = Finding::warning(FailureCode::ClkIllegal, message);
        let found = found.at(value.place.clone()).seen(quoted(&value.text));
        report.add(found.fix("remove the line"));
        return None;
    }
    let recipe = value.text.parse::<ClockRecipe>().ok();
    let recipe = recipe.filter(|recipe| recipe.group() == group && exists(*recipe, family));
    if recipe.is_none() {
        report.add(no_recipe(value, group, family));
    }
    recipe
}

fn exists(recipe: ClockRecipe, family: Option<Family>) -> bool {
    let families = Family::ALL.into_iter();
    let mut families = families.filter(|one| family.is_none_or(|family| family == *one));
    families.any(|family| recipe.frequencies(family).is_some())
}

fn no_recipe(value: &Value, group: ClockGroup, family: Option<Family>) -> Finding {
    let family = family.unwrap_or(Family::F2);
    let recipes: Vec<String> = (0..group.recipes(family).len())
        .filter_map(|number| format!("{}{number}", group.letter()).parse().ok())
        .map(|recipe: ClockRecipe| {
            let frequencies = recipe.frequencies(family).unwrap_or_default();
            format!("{recipe} ({} MHz)", megahertz(frequencies))
        })
        .collect();
    let upper = value.text.to_uppercase();
    let in_capitals = upper.parse::<ClockRecipe>().ok();
    let fix = if in_capitals.is_some_and(|recipe| recipe.group() == group && upper != value.text) {
        format!("write '{upper}'")
    } else if value.text == "H5" {
        // `aws_build_dcp_from_cl.py` lists it; no table has frequencies for it.
        "choose another one: the build script takes H5, and no table has it".to_owned()
    } else {
        "write the recipe that the design was built with".to_owned()
    };
    Finding::error(FailureCode::ClkIllegal, "there is no such clock recipe")
        .at(value.place.clone())
        .seen(quoted(&value.text))
        .wanted(recipes.join(", "))
        .fix(fix)
}

/// What a group without a line gets, where that is documented: on F1 (`AFI_Manifest.md`).
fn missing(lines: &Lines, group: ClockGroup, family: Option<Family>, report: &mut Report) {
    let has_frequency = Key::frequency_of(group).is_some_and(|key| lines.get(key).is_some());
    let is_documented =
        matches!(group, ClockGroup::B | ClockGroup::C) && family == Some(Family::F1);
    if has_frequency || !is_documented {
        return;
    }
    let recipe = group.default_recipe(Family::F1);
    let frequencies = recipe.frequencies(Family::F1).unwrap_or_default();
    let key = Key::recipe_of(group);
    let message = format!(
        "{} is not there: the design gets {recipe}, {} MHz",
        key.name(),
        megahertz(frequencies)
    );
    report.add(Finding::note(message).at(lines.place_of(key)));
}

/// A frequency in MHz, from a script of Vitis.
fn frequency(lines: &Lines, group: ClockGroup, family: Option<Family>, report: &mut Report) {
    let Some(key) = Key::frequency_of(group) else {
        return;
    };
    let Some(value) = lines.get(key).filter(|value| !value.text.is_empty()) else {
        return;
    };
    let at = |found: Finding| found.at(value.place.clone()).seen(quoted(&value.text));
    let is_number = value
        .text
        .parse::<f64>()
        .is_ok_and(|mhz| mhz > 0.0 && mhz.is_finite());
    if !is_number || !value.text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let found = format!("{} is no frequency", key.name());
        let found = at(Finding::error(FailureCode::ClkIllegal, found));
        report.add(
            found
                .wanted("a number of MHz, such as 250")
                .fix("write the number alone"),
        );
        return;
    }
    let recipe = Key::recipe_of(group);
    if lines.get(recipe).is_some() {
        let found = format!("the manifest has both {} and {}", recipe.name(), key.name());
        let found = at(Finding::warning(FailureCode::ClkIllegal, found));
        report.add(found.fix("remove one of them: no document says which is taken"));
    } else if family == Some(Family::F2) {
        let found = format!("{} is a key of Vitis on F1", key.name());
        let found = at(Finding::warning(FailureCode::ClkIllegal, found));
        report.add(found.fix(format!("write a '{}' instead", recipe.name())));
    }
}

/// Frequencies in Hz as the tables show them: `250/125`, `200/266.667`.
fn megahertz(frequencies: &[u64]) -> String {
    let texts: Vec<String> = frequencies
        .iter()
        .map(|hz| format!("{}", *hz as f64 / 1e6))
        .collect();
    texts.join("/")
}
