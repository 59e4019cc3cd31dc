//! From the API's image to ours.

use std::fmt::Display;
use std::str::FromStr;

use afi_proto::PciIds;
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{FpgaImage, PciId};

use super::super::RegionalImage;
use crate::image::{Image, ImageState, family_of, not_a_pci_id, parse_pci_id};

/// What an element of the answer is.
#[derive(Debug)]
pub(super) enum Converted {
    /// An image.
    Image(Box<Image>),
    /// One that has no global id.
    WithoutAgfi(RegionalImage),
}

/// Converts one element of the answer.
///
/// What a load depends on (ids, shell version) has to be well-formed where it is there: taking it
/// as missing would skip a check. An error tells what is not.
pub(super) fn convert(image: &FpgaImage, region: &str) -> Result<Converted, String> {
    let which = image
        .fpga_image_id()
        .or(image.fpga_image_global_id())
        .unwrap_or("an image without ids");
    let problem = |problem: String| format!("{which}: {problem}");
    let state = image.state();
    let code = state
        .and_then(|state| state.code())
        .ok_or_else(|| problem("it has no state".to_owned()))?;
    let code = ImageState::from(code.as_str().to_owned());
    let state_message = state.and_then(|state| text(state.message()));
    let afi = parsed(image.fpga_image_id()).map_err(problem)?;
    let Some(agfi) = parsed(image.fpga_image_global_id()).map_err(problem)? else {
        let afi = afi.ok_or_else(|| problem("it has neither id".to_owned()))?;
        return Ok(Converted::WithoutAgfi(RegionalImage {
            afi,
            state: code,
            state_message,
        }));
    };
    let shell = parsed(image.shell_version()).map_err(problem)?;
    let instance_types = image.instance_types().to_vec();
    Ok(Converted::Image(Box::new(Image {
        agfi,
        afi,
        name: text(image.name()),
        description: text(image.description()),
        owner_id: text(image.owner_id()),
        owner_alias: text(image.owner_alias()),
        region: region.to_owned(),
        state: code,
        state_message,
        shell,
        ids: image.pci_id().map_or(Ok(None), pci_ids).map_err(problem)?,
        family: family_of(&instance_types, shell),
        instance_types,
        data_retention: image.data_retention_support(),
        public: image.public().unwrap_or(false),
        tags: image
            .tags()
            .iter()
            .filter_map(|tag| {
                Some((
                    tag.key()?.to_owned(),
                    tag.value().unwrap_or_default().to_owned(),
                ))
            })
            .collect(),
        create_time: image.create_time().and_then(time),
        update_time: image.update_time().and_then(time),
    })))
}

/// An empty element says as much as a missing one.
fn text(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

fn parsed<T: FromStr<Err: Display>>(text: Option<&str>) -> Result<Option<T>, String> {
    text.filter(|text| !text.is_empty())
        .map(str::parse)
        .transpose()
        .map_err(|error: T::Err| error.to_string())
}

/// All four ids, or none while the image is being made.
fn pci_ids(ids: &PciId) -> Result<Option<PciIds>, String> {
    let parts = [
        ids.vendor_id(),
        ids.device_id(),
        ids.subsystem_vendor_id(),
        ids.subsystem_id(),
    ];
    if parts.iter().all(|part| part.is_none_or(str::is_empty)) {
        return Ok(None);
    }
    let mut numbers = [0; 4];
    for (number, part) in numbers.iter_mut().zip(parts) {
        let part = part.ok_or("it has not all four PCI ids")?;
        *number = parse_pci_id(part).ok_or_else(|| not_a_pci_id(part))?;
    }
    let [vendor, device, subsystem_vendor, subsystem] = numbers;
    Ok(Some(PciIds::new(
        vendor,
        device,
        subsystem_vendor,
        subsystem,
    )))
}

/// `None` for a year that RFC 3339 cannot write.
fn time(time: &DateTime) -> Option<String> {
    time.fmt(DateTimeFormat::DateTime).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_proto::{Family, ShellVersion};
    use aws_sdk_ec2::types::builders::FpgaImageBuilder;
    use aws_sdk_ec2::types::{FpgaImageState, FpgaImageStateCode, Tag};

    fn element() -> FpgaImageBuilder {
        let state = FpgaImageState::builder().code(FpgaImageStateCode::Available);
        let ids = PciId::builder()
            .vendor_id("0x1d0f")
            .device_id("0xf000")
            .subsystem_vendor_id("0xfedd")
            .subsystem_id("0x1d51");
        FpgaImage::builder()
            .fpga_image_id("afi-0ccd812687c77c5b8")
            .fpga_image_global_id("agfi-088bffb3ab91ca2d1")
            .shell_version("0x071417d3")
            .pci_id(ids.build())
            .state(state.build())
    }

    fn image(builder: FpgaImageBuilder) -> Image {
        match convert(&builder.build(), "us-east-1").unwrap() {
            Converted::Image(image) => *image,
            Converted::WithoutAgfi(image) => panic!("{image:?}"),
        }
    }

    fn problem(builder: FpgaImageBuilder) -> String {
        convert(&builder.build(), "us-east-1").unwrap_err()
    }

    #[test]
    fn everything_the_api_tells_is_kept() {
        let tag = Tag::builder().key("stage").value("prod").build();
        let image = image(
            element()
                .name("hello_world_1.3.0")
                .description("")
                .owner_id("095707098027")
                .owner_alias("amazon")
                .public(true)
                .data_retention_support(true)
                .create_time(DateTime::from_secs(1_501_094_562))
                .tags(tag),
        );
        assert_eq!(image.agfi.to_string(), "agfi-088bffb3ab91ca2d1");
        assert_eq!(image.afi.unwrap().to_string(), "afi-0ccd812687c77c5b8");
        assert_eq!(image.name.as_deref(), Some("hello_world_1.3.0"));
        assert_eq!(image.description, None);
        assert_eq!(image.owner_alias.as_deref(), Some("amazon"));
        assert_eq!(image.region, "us-east-1");
        assert_eq!(image.state, ImageState::Available);
        assert_eq!(image.shell, Some(ShellVersion(0x0714_17D3)));
        assert_eq!(image.ids, Some(PciIds::new(0x1D0F, 0xF000, 0xFEDD, 0x1D51)));
        assert_eq!(image.family, Some(Family::F1));
        assert!(image.public);
        assert_eq!(image.data_retention, Some(true));
        assert_eq!(image.tags["stage"], "prod");
        assert_eq!(image.create_time.as_deref(), Some("2017-07-26T18:42:42Z"));
    }

    #[test]
    fn instance_types_tell_the_family_of_an_image_for_an_unknown_shell() {
        let image = image(
            element()
                .shell_version("0x99999999")
                .instance_types("f2.6xlarge"),
        );
        assert_eq!(image.family, Some(Family::F2));
    }

    #[test]
    fn a_failed_copy_keeps_its_reason() {
        let reason = "NOT_FOUND: Source image is not found or the user ID is not authorized to copy source image.";
        let state = FpgaImageState::builder()
            .code(FpgaImageStateCode::Failed)
            .message(reason);
        let copy = FpgaImage::builder()
            .fpga_image_id("afi-0a4a231c9804af6c6")
            .state(state.build())
            .build();
        let Converted::WithoutAgfi(copy) = convert(&copy, "us-west-2").unwrap() else {
            panic!("it has no AGFI");
        };
        assert_eq!(copy.state, ImageState::Failed);
        assert_eq!(copy.state_message.as_deref(), Some(reason));
    }

    #[test]
    fn what_a_load_depends_on_is_well_formed_or_an_error() {
        let text = problem(element().shell_version("1.3"));
        assert!(
            text.contains("afi-0ccd812687c77c5b8: '1.3' is not a shell"),
            "{text}"
        );
        let text = problem(element().fpga_image_global_id("agfi-1"));
        assert!(text.contains("'agfi-1' is not an AGFI id"), "{text}");
        let text = problem(element().pci_id(PciId::builder().vendor_id("0x1d0f").build()));
        assert!(text.contains("not all four"), "{text}");
        let ids = PciId::builder()
            .vendor_id("0x1d0f")
            .device_id("0xf000")
            .subsystem_vendor_id("0x10000")
            .subsystem_id("0x1d51");
        let text = problem(element().pci_id(ids.build()));
        assert!(text.contains("'0x10000' is not a PCI id"), "{text}");
        let text = problem(FpgaImage::builder().fpga_image_id("afi-0ccd812687c77c5b8"));
        assert!(text.contains("no state"), "{text}");
    }

    #[test]
    fn an_image_that_is_being_made_has_no_ids_yet() {
        let image = image(
            element()
                .pci_id(PciId::builder().build())
                .set_shell_version(None),
        );
        assert_eq!((image.ids, image.shell, image.family), (None, None, None));
    }
}
