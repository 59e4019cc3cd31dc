//! Pages and filters against a model, and pages of very many images.

use std::sync::LazyLock;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::catalog::{Catalog, CatalogImage, SharedCatalog};

fn image(number: usize, name: &str, region: &str) -> CatalogImage {
    static TEMPLATE: LazyLock<CatalogImage> =
        LazyLock::new(|| Catalog::default().images().next().unwrap().clone());
    let mut image = TEMPLATE.clone();
    image.afi = format!("afi-{number:017x}").parse().unwrap();
    image.agfi = Some(format!("agfi-{number:017x}").parse().unwrap());
    image.name = Some(name.to_owned());
    image.region = region.parse().unwrap();
    image.public = true;
    image
}

fn cloud_of(images: impl IntoIterator<Item = CatalogImage>) -> CloudServer {
    let mut catalog = Catalog::empty();
    for image in images {
        catalog.insert(image).unwrap();
    }
    let mut config = CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1));
    config.catalog = SharedCatalog::new(catalog);
    CloudServer::start(config).unwrap()
}

/// The names of all pages, and the length of each.
fn pages(cloud: &CloudServer, size: usize, pattern: &str) -> (Vec<String>, Vec<usize>) {
    let size = size.to_string();
    let (mut names, mut lengths, mut token) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let mut parameters = vec![
            ("MaxResults", size.as_str()),
            ("Filter.1.Name", "name"),
            ("Filter.1.Value.1", pattern),
        ];
        if let Some(token) = &token {
            parameters.push(("NextToken", token));
        }
        let answer = describe(cloud, &parameters);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = answer.all("name");
        lengths.push(page.len());
        names.extend(page);
        match answer.all("nextToken").pop() {
            Some(next) => token = Some(next),
            None => return (names, lengths),
        }
    }
}

#[test]
fn a_hundred_thousand_images_come_in_pages_of_the_same_cost() {
    const COUNT: usize = 100_000;
    let cloud = cloud_of((0..COUNT).map(|n| image(n, &format!("image_{n}"), "us-east-1")));
    let began = Instant::now();
    let first = describe(&cloud, &[("MaxResults", "1000")]);
    let first_page = began.elapsed();
    assert_eq!(first.all("fpgaImageId").len(), 1000);
    let (names, lengths) = pages(&cloud, 1000, "image_*");
    assert_eq!((names.len(), lengths.len()), (COUNT, COUNT / 1000));
    assert!(lengths.iter().all(|length| *length == 1000));
    // Pages that begin far behind are found as fast as the first: walking there would show as a
    // multiple of the whole.
    let whole = began.elapsed();
    let bound = (first_page * 100) * 5 + Duration::from_secs(5);
    assert!(
        whole < bound,
        "{whole:?} for all, {first_page:?} for the first"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pages_and_filters_agree_with_a_model(
        names in prop::collection::vec("[ab]{1,3}", 0..60),
        elsewhere in prop::collection::vec("[ab]{1,3}", 0..10),
        size in 5usize..20,
        start in "[ab]{0,2}",
    ) {
        let count = names.len();
        let here = names.iter().enumerate().map(|(n, name)| image(n, name, "us-east-1"));
        let there = elsewhere.iter().enumerate();
        let there = there.map(|(n, name)| image(count + n, name, "eu-west-1"));
        let cloud = cloud_of(here.chain(there));
        let wanted: Vec<String> =
            names.iter().filter(|name| name.starts_with(&start)).cloned().collect();
        let (seen, lengths) = pages(&cloud, size, &format!("{start}*"));
        prop_assert_eq!(&seen, &wanted);
        prop_assert_eq!(lengths.len(), wanted.len().div_ceil(size).max(1));
    }
}
