//! `afi image pack`

use std::fs;
use std::path::PathBuf;

use afi_image::{Key, PackError, PackOptions, Packed, pack};
use afi_pcie::Deadline;
use afi_proto::{ClockGroup, ClockRecipe, Family, ShellVersion};
use clap::Args;
use serde_json::{Value, json};

use super::error::{ImageError, ended};
use super::report::{document, to_text};
use super::source;
use crate::output::progress::Progress;
use crate::output::{Answer, ErrorReport, to_value};
use crate::serial::hex16;

/// Make a tarball of a checkpoint, with its manifest
///
/// Hashes the checkpoint, writes the manifest, and checks the result as 'afi image check' does before it
/// gets its name. Values come from the options, else from the manifest that is there; hash and file name
/// are always those of the checkpoint. The same input gives the same bytes.
///
/// Example: afi image pack design.dcp --family f2 --shell-version 0x10212415 --vendor-id 0x1d0f
/// --device-id 0xf010 --subsystem-vendor-id 0xfedc --subsystem-id 0x1d51 --tool-version v2024.1
#[derive(Debug, Args)]
pub(super) struct Pack {
    /// The checkpoint, the directory 'to_aws' or the one it is in
    #[arg(value_name = "DIR|DCP")]
    source: PathBuf,
    /// The tarball [default: NAME.Developer_CL.tar in the current directory]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the tarball if it is there
    #[arg(long)]
    force: bool,
    /// The family that the image is for: 'f1' or 'f2' [default: as the shell version says]
    #[arg(long, value_name = "FAMILY")]
    family: Option<Family>,
    /// Take values from this manifest [default: the one in the directory]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The checkpoint, in a directory that has several
    #[arg(long, value_name = "NAME")]
    checkpoint: Option<String>,
    /// Time of change of the members, in seconds since 1970
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    #[arg(env = "SOURCE_DATE_EPOCH", hide_env_values = true)]
    mtime: u64,
    #[command(flatten)]
    values: Values,
}

/// Values of the manifest.
#[derive(Debug, Args)]
#[command(next_help_heading = "Values of the manifest")]
struct Values {
    /// PCI vendor id
    #[arg(long, value_name = "ID", value_parser = id)]
    vendor_id: Option<u16>,
    /// PCI device id
    #[arg(long, value_name = "ID", value_parser = id)]
    device_id: Option<u16>,
    /// PCI subsystem id
    #[arg(long, value_name = "ID", value_parser = id)]
    subsystem_id: Option<u16>,
    /// PCI subsystem vendor id
    #[arg(long, value_name = "ID", value_parser = id)]
    subsystem_vendor_id: Option<u16>,
    /// Version of the shell that the design was built for, such as 0x10212415
    #[arg(long, value_name = "VERSION")]
    shell_version: Option<ShellVersion>,
    /// Recipe of the clocks of group A, B, C or HBM, such as A1; once for each group
    #[arg(long = "clock-recipe", value_name = "RECIPE")]
    clock_recipes: Vec<ClockRecipe>,
    /// Release of Vivado, such as v2024.1
    #[arg(long, value_name = "VERSION")]
    tool_version: Option<String>,
    /// Version of the HDK
    #[arg(long, value_name = "VERSION")]
    hdk_version: Option<String>,
    /// Date of the build, such as 24_01_31-235959 [default: from the name of the checkpoint]
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
}

impl Pack {
    pub(super) fn run(
        &self,
        deadline: &Deadline,
        progress: &Progress,
    ) -> Result<Answer, Box<ErrorReport>> {
        let options = PackOptions {
            output: self.output.clone(),
            family: self.family,
            manifest: self.manifest.clone(),
            checkpoint: self.checkpoint.clone(),
            values: self.values.all(),
            mtime: self.mtime,
            force: self.force,
        };
        // The files once for the tarball, and the tarball once for the check.
        let file = fs::metadata(&self.source)
            .ok()
            .filter(fs::Metadata::is_file);
        let once = file
            .map(|data| data.len())
            .or_else(|| source::bytes_in(&self.source));
        let what = format!("packing {}", self.source.display());
        let bytes = progress.bytes(what, once.map(|once| 2 * once));
        let packed = pack(&self.source, &options, |read| {
            bytes.add(read);
            deadline.check().map_err(ended)
        });
        drop(bytes);
        match packed {
            Ok(packed) => Ok(answer(&packed)),
            Err(PackError::Refused { path, report }) => {
                let name = path.display().to_string();
                let mut answer = Answer::text(to_text(&name, &report));
                let document = document(&name, &report);
                let error = ImageError::from(PackError::Refused { path, report });
                answer.errors.push(ErrorReport::new(&error));
                Ok(answer.with("packed", Value::Null).with("check", document))
            }
            Err(error) => Err(ImageError::of_pack(error).into()),
        }
    }
}

impl Values {
    fn all(&self) -> Vec<(Key, String)> {
        let id = |id: Option<u16>| id.map(hex16);
        let recipe = |group: ClockGroup| {
            let mut recipes = self.clock_recipes.iter().rev();
            recipes
                .find(|recipe| recipe.group() == group)
                .map(ToString::to_string)
        };
        let mut values = vec![
            (Key::VendorId, id(self.vendor_id)),
            (Key::DeviceId, id(self.device_id)),
            (Key::SubsystemId, id(self.subsystem_id)),
            (Key::SubsystemVendorId, id(self.subsystem_vendor_id)),
            (
                Key::ShellVersion,
                self.shell_version.map(|version| version.to_string()),
            ),
            (Key::ToolVersion, self.tool_version.clone()),
            (Key::HdkVersion, self.hdk_version.clone()),
            (Key::Date, self.date.clone()),
        ];
        let recipes = ClockGroup::ALL.map(|group| (Key::recipe_of(group), recipe(group)));
        values.extend(recipes);
        let given = values.into_iter();
        given
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }
}

fn answer(packed: &Packed) -> Answer {
    let name = packed.path.display().to_string();
    let mut answer = Answer::text(to_text(&name, &packed.report));
    for finding in &packed.mended {
        let place = &finding.place;
        answer
            .hints
            .push(format!("left behind: {place}: {}", finding.message));
    }
    let made = json!({
        "path": name,
        "manifest": packed.manifest,
        "mended": to_value(&packed.mended),
    });
    answer
        .with("packed", made)
        .with("check", document(&name, &packed.report))
}

/// An id of 16 bits, in hexadecimal digits with or without `0x`.
fn id(text: &str) -> Result<u16, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.unwrap_or(text);
    let are_digits =
        (1..=4).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit());
    let id = are_digits.then(|| u16::from_str_radix(digits, 16).ok());
    id.flatten().ok_or_else(|| {
        format!("'{text}' is no PCI id; wanted one to four hexadecimal digits, such as 0xf010")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(id("0xf010"), Ok(0xF010));
        assert_eq!(id("1D0F"), Ok(0x1D0F));
        for text in ["", "0x", "12345", "+1", "x"] {
            assert!(id(text).is_err(), "{text}");
        }
    }
}
