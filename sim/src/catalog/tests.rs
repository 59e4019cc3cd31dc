use super::*;
use crate::image::ImageSource;

const GOOD: &str = r#"
[[image]]
afi = "afi-0f1f1000000000001"
agfi = "agfi-0f1f1000000000001"
name = "mine"
region = "us-east-1"
family = "f1"
shell = "0x04261818"
ids = { vendor = "0x1d0f", device = "0xf000", subsystem_vendor = "0xfedd", subsystem = "0x1d51" }
model = "cl_hello_world"
"#;

fn us_east() -> Region {
    "us-east-1".parse().unwrap()
}

fn afi(text: &str) -> AfiId {
    text.parse().unwrap()
}

fn agfi(text: &str) -> AgfiId {
    text.parse().unwrap()
}

/// The error of a catalogue, which is GOOD with one text replaced by another.
fn error(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    Catalog::parse("mine.toml", &text).unwrap_err().to_string()
}

#[test]
fn defaults_are_those_the_documentation_names() {
    let catalog = Catalog::parse("mine.toml", GOOD).unwrap();
    let image = catalog.image(afi("afi-0f1f1000000000001")).unwrap();
    assert_eq!(image.owner_id, AccountId::SIMULATED);
    assert_eq!(image.state, ImageState::Available);
    assert!(!image.public && image.tags.is_empty() && image.shared_with.is_empty());
    assert_eq!(image.update_time, image.create_time);
    let design = image.design.as_ref().unwrap();
    assert_eq!(design.power_watts, 20);
    assert!(!design.data_retention);
    let slot = image.slot_image().unwrap();
    assert_eq!(slot.clocks_hz[0][0], 125_000_000);
    assert_eq!(slot.ids, PciIds::new(0x1d0f, 0xf000, 0xfedd, 0x1d51));
}

#[test]
fn an_error_names_file_line_and_what_was_wanted() {
    for (from, to, line, wanted) in [
        ("name = ", "nmae = ", 5, "expected one of"),
        (
            "\"us-east-1\"",
            "\"east\"",
            6,
            "wanted a name such as us-east-1",
        ),
        ("\"f1\"", "\"f3\"", 7, "wanted 'f1' or 'f2'"),
        ("0x04261818", "4261818", 8, "such as 0x04261818"),
        ("\"0xf000\"", "\"f000\"", 9, "such as 0x1d0f"),
        (
            "device = \"0xf000\"",
            "device = 61440",
            9,
            "expected a string",
        ),
        (
            "\"afi-0f1f1000000000001\"",
            "\"agfi-0f1f1000000000001\"",
            3,
            "this is an AGFI id",
        ),
        ("\"mine\"", "mine", 5, ""),
        ("model = ", "state = \"ready\"\nmodel = ", 10, "`pending`"),
        (
            "model = ",
            "create_time = 2026-01-01\nmodel = ",
            10,
            "with 'Z'",
        ),
        (
            "model = ",
            "owner_id = \"1\"\nmodel = ",
            10,
            "wanted 12 digits",
        ),
        ("[[image]]", "[[images]]\n[[image]]", 2, "expected `image`"),
    ] {
        let error = error(from, to);
        assert!(
            error.starts_with(&format!("mine.toml, line {line}: ")),
            "{line}: {error}"
        );
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn what_contradicts_itself_is_refused_at_its_line() {
    for (from, to, line, wanted) in [
        ("agfi = \"agfi-0f1f1000000000001\"", "", 3, "has no 'agfi'"),
        ("model = \"cl_hello_world\"", "", 3, "has no 'model'"),
        ("family = \"f1\"", "", 3, "has no 'family'"),
        ("\"f1\"", "\"f2\"", 8, "which is a shell of f1"),
        ("\"0x1d0f\"", "\"0x0\"", 9, "AFI_Manifest"),
        ("\"0x1d0f\"", "\"0x8086\"", 9, "AFI_Manifest"),
        ("\"0x1d0f\"", "\"0xffff\"", 9, "without a device"),
        ("\"0xf000\"", "\"0x0\"", 9, "device 0x0000"),
        ("\"0x1d51\"", "\"0x0\"", 9, "subsystem ids"),
        (
            "\"0xf000\"",
            "\"0x1042\"",
            9,
            "would look like a cleared one",
        ),
        (
            "model = ",
            "tags = { \"aws:x\" = \"y\" }\nmodel = ",
            10,
            "'aws:x'",
        ),
        (
            "model = ",
            "update_time = 2020-01-01T00:00:00Z\nmodel = ",
            10,
            "is before its create_time",
        ),
        (
            "model = ",
            "clock_recipes = { a = \"A9\" }\nmodel = ",
            10,
            "'A9' is no clock recipe",
        ),
    ] {
        let error = error(from, to);
        assert!(
            error.starts_with(&format!("mine.toml, line {line}: ")),
            "{line}: {error}"
        );
        assert!(error.contains(wanted), "{error}");
    }
    let f2 = GOOD
        .replace("\"f1\"", "\"f2\"")
        .replace("0x04261818", "0x10212415")
        .replace("model = ", "data_retention = true\nmodel = ");
    let error = Catalog::parse("mine.toml", &f2).unwrap_err().to_string();
    assert!(error.starts_with("mine.toml, line 10: "), "{error}");
    assert!(error.contains("cannot keep their DRAM"), "{error}");
}

#[test]
fn an_afi_id_exists_once_and_an_agfi_id_is_one_design() {
    let other_region = GOOD.replace("us-east-1", "us-west-2");
    let twice = Catalog::parse("mine.toml", &format!("{GOOD}{other_region}"))
        .unwrap_err()
        .to_string();
    assert!(twice.starts_with("mine.toml, line 13: "), "{twice}");
    assert!(twice.contains("is there already"), "{twice}");

    let copy = other_region.replace(
        "afi-0f1f1000000000001\"\nagfi",
        "afi-0f1f1000000000002\"\nagfi",
    );
    let copied = Catalog::parse("mine.toml", &format!("{GOOD}{copy}")).unwrap();
    assert_eq!(copied.images().count(), 2);

    let changed = copy.replace("0xf000", "0xf001");
    let differs = Catalog::parse("mine.toml", &format!("{GOOD}{changed}"))
        .unwrap_err()
        .to_string();
    assert!(differs.starts_with("mine.toml, line 14: "), "{differs}");
    assert!(
        differs.contains("afi-0f1f1000000000002 and afi-0f1f1000000000001"),
        "{differs}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Catalog::load(Path::new("/nonexistent/catalogue.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the catalogue /nonexistent/catalogue.toml"
    );
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_shell_that_no_family_knows_is_let_through() {
    let newer = GOOD.replace("0x04261818", "0x99999999");
    assert!(Catalog::parse("mine.toml", &newer).is_ok());
}

#[test]
fn the_default_catalogue_holds_the_images_of_the_public_documents() {
    let catalog = Catalog::default();
    let image = catalog.image(afi("afi-0ccd812687c77c5b8")).unwrap();
    assert_eq!(image.agfi, Some(agfi("agfi-088bffb3ab91ca2d1")));
    assert_eq!(image.name.as_deref(), Some("hello_world_1.3.0"));
    assert_eq!(image.owner_id.to_string(), "095707098027");
    assert_eq!(image.create_time.to_string(), "2017-07-26T18:42:42.000Z");
    assert_eq!(image.update_time.to_string(), "2017-07-26T19:09:24.000Z");
    let design = image.design.as_ref().unwrap();
    assert_eq!(design.shell, ShellVersion(0x0714_17D3));
    assert_eq!(design.ids, PciIds::new(0x1d0f, 0xf000, 0xfedd, 0x1d51));
    let pending = catalog.image(afi("afi-0ec49a946f276c5f5")).unwrap();
    assert_eq!((pending.state, pending.agfi), (ImageState::Pending, None));
    let failed = catalog.image(afi("afi-0a4a231c9804af6c6")).unwrap();
    assert_eq!(failed.state, ImageState::Failed);
    assert_eq!(
        failed.state_message.as_deref(),
        Some(
            "NOT_FOUND: Source image is not found or the user ID is not authorized to copy source image."
        )
    );
}

#[test]
fn the_default_catalogue_has_what_each_family_can_run_and_what_it_must_refuse() {
    let catalog = Catalog::default();
    let named = |name: &str| -> Vec<&CatalogImage> {
        catalog
            .visible(AccountId::SIMULATED, &us_east())
            .filter(|image| image.name.as_deref() == Some(name))
            .collect()
    };
    for (name, family) in [
        ("cl_hello_world", Family::F1),
        ("cl_dram_dma", Family::F1),
        ("cl_axil_reg_access", Family::F2),
        ("cl_dram_hbm_dma", Family::F2),
    ] {
        let images = named(name);
        assert_eq!(images.len(), 1, "{name}");
        let design = images[0].design.as_ref().unwrap();
        assert_eq!(design.family, family);
        assert_eq!(design.shell, family.profile().current_shell().version);
        assert_eq!(design.model, name);
        assert!(design.power_watts <= family.profile().power_limit_watts);
    }
    assert_eq!(named("cl_twice").len(), 2);
    assert!(named("cl_foreign").is_empty() && named("cl_west").is_empty());
    for (name, family) in [
        ("cl_power_hungry", Family::F1),
        ("cl_power_hungry_f2", Family::F2),
    ] {
        let design = named(name)[0].design.as_ref().unwrap();
        assert!(
            design.power_watts > family.profile().power_limit_watts,
            "{name}"
        );
    }
    let shell = named("cl_dram_hbm_dma_xdma_shell")[0]
        .design
        .as_ref()
        .unwrap()
        .shell;
    assert!(!Family::F2.profile().shell(shell).unwrap().supported);
    // Made-up ids are recognisable, whosever they are.
    for image in catalog.images() {
        let made_up = image.afi.to_string().starts_with("afi-0f1f1")
            || image.afi.to_string().starts_with("afi-0f2f2");
        let real = image.owner_id.to_string() == "095707098027";
        assert!(made_up || real, "{}", image.afi);
    }
}

#[test]
fn slots_load_what_is_available_here_and_permitted() {
    let catalog = SharedCatalog::new(Catalog::default());
    let images = InstanceImages::new(catalog.clone(), us_east(), AccountId::SIMULATED);
    let west = InstanceImages::new(
        catalog.clone(),
        "us-west-2".parse().unwrap(),
        AccountId::SIMULATED,
    );
    let owner = InstanceImages::new(catalog.clone(), us_east(), "111122223333".parse().unwrap());
    let loadable = |text: &str| images.loadable(agfi(text)).is_some();

    assert!(loadable("agfi-0f1f1000000000001"), "own");
    assert!(loadable("agfi-0f1f1000000000004"), "shared");
    assert!(loadable("agfi-088bffb3ab91ca2d1"), "public");
    for (text, why) in [
        ("agfi-0f1f1000000000011", "pending"),
        ("agfi-0f1f1000000000012", "failed"),
        ("agfi-0f1f1000000000013", "unavailable"),
        ("agfi-0f1f1000000000014", "foreign"),
        ("agfi-0f1f1000000000015", "in another region"),
        ("agfi-0f1f10000000000ff", "unknown"),
    ] {
        assert!(!loadable(text), "{why}");
    }
    assert!(west.loadable(agfi("agfi-0f1f1000000000015")).is_some());
    assert!(owner.loadable(agfi("agfi-0f1f1000000000014")).is_some());
    assert!(owner.loadable(agfi("agfi-0f1f1000000000001")).is_none());
}

#[test]
fn an_agfi_stays_loadable_as_long_as_one_of_its_afis_is_there() {
    let catalog = SharedCatalog::new(Catalog::default());
    let images = InstanceImages::new(catalog.clone(), us_east(), AccountId::SIMULATED);
    let hello = agfi("agfi-088bffb3ab91ca2d1");
    assert!(
        catalog
            .write()
            .remove(afi("afi-0ccd812687c77c5b8"))
            .is_some()
    );
    assert!(images.loadable(hello).is_some());
    assert!(
        catalog
            .write()
            .remove(afi("afi-01a7ea9bafe3ef8cc"))
            .is_some()
    );
    assert!(images.loadable(hello).is_none());
}
