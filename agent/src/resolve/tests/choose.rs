//! Which image of an answer is meant.

use super::*;

#[test]
fn a_name_of_two_images_lists_them() {
    let rig = Rig::new();
    let newer = Image {
        create_time: Some("2025-06-01T00:00:00Z".to_owned()),
        owner_alias: Some("amazon".to_owned()),
        ..in_state(TWO, ImageState::Failed)
    };
    rig.will(told(vec![image(ONE), newer]));
    let error = rig.resolve("cl_test", NORMAL).unwrap_err();
    assert_eq!(error.class(), Class::Usage);
    assert_eq!(
        error.to_string(),
        "'cl_test' means 2 images:\
         \n    agfi-0f1f1000000000002, owner amazon, in us-east-1, created 2025-06-01T00:00:00Z, failed\
         \n    agfi-0f1f1000000000001, owner 000000000000, in us-east-1, created 2025-01-02T03:04:05Z, available"
    );
    assert!(error.remedy().unwrap().contains("AGFI id"));
    // The one that is available is known now, by its id.
    rig.resolve(ONE, NORMAL).unwrap();
}

#[test]
fn cached_images_of_one_name_are_ambiguous_too() {
    let rig = Rig::new();
    rig.learn(ONE, vec![image(ONE)]);
    rig.learn(TWO, vec![image(TWO)]);
    let error = rig.resolve("cl_test", OFFLINE).unwrap_err();
    assert!(matches!(error, ResolveError::Ambiguous { .. }), "{error:?}");
    // So they cannot stand in for the API either.
    rig.will(away());
    let error = rig.resolve("cl_test", NORMAL).unwrap_err();
    assert!(
        matches!(error, ResolveError::Cloud { known: false, .. }),
        "{error:?}"
    );
}

#[test]
fn copies_in_a_region_are_one_image_and_an_available_one_comes_first() {
    let rig = Rig::new();
    let copy = Image {
        afi: Some("afi-0f1f1000000000009".parse().unwrap()),
        state: ImageState::Pending,
        update_time: Some("2030-01-01T00:00:00Z".to_owned()),
        ..image(ONE)
    };
    let newer = Image {
        afi: Some("afi-0f1f1000000000008".parse().unwrap()),
        update_time: Some("2029-01-01T00:00:00Z".to_owned()),
        ..image(ONE)
    };
    let chosen = rig.learn("cl_test", vec![image(ONE), copy.clone(), newer.clone()]);
    assert_eq!(chosen.afi, newer.afi);
    // Both AFI ids that are available are known; the pending one is not.
    rig.resolve(AFI, NORMAL).unwrap();
    rig.resolve("afi-0f1f1000000000008", NORMAL).unwrap();
    rig.will(told(vec![copy]));
    let resolved = rig.resolve("afi-0f1f1000000000009", NORMAL).unwrap();
    assert_eq!(resolved.image.state, ImageState::Pending);
}

#[test]
fn a_copy_without_agfi_tells_why() {
    let rig = Rig::new();
    rig.will(Ok(Answer {
        region: "us-west-2".to_owned(),
        images: Vec::new(),
        without_agfi: vec![RegionalImage {
            afi: AFI.parse().unwrap(),
            state: ImageState::Failed,
            state_message: Some("NOT_FOUND: Source image is not found".to_owned()),
        }],
    }));
    let error = rig.resolve(AFI, NORMAL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "afi-0f1f1000000000001 in us-west-2 has no AGFI id: its state is failed \
         (NOT_FOUND: Source image is not found)"
    );
}

#[test]
fn an_endpoint_that_ignores_the_filter_does_not_choose_the_image() {
    let rig = Rig::new();
    let all = vec![image(TWO), named(ONE, "cl_test_2")];
    rig.will(told(all.clone()));
    assert_eq!(
        rig.resolve("cl_test", NORMAL)
            .unwrap()
            .image
            .agfi
            .to_string(),
        TWO
    );
    rig.will(told(all));
    let error = rig.resolve("cl_other", NORMAL).unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
}
