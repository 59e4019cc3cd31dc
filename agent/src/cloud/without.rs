//! What stands for the client in a program that was built without one.

use afi_pcie::Deadline;

use super::{Answer, Cloud, CloudError, CloudOptions, Place, place_name};
use crate::image::ImageRef;

/// Knows where it is, as far as options and environment tell, and answers nothing.
#[derive(Debug)]
pub(super) struct NoCloud {
    place: Place,
}

impl NoCloud {
    pub(super) fn new(options: CloudOptions) -> Self {
        let first = |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok());
        let endpoint = options
            .endpoint
            .or_else(|| first(["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"]));
        let region = options
            .region
            .or_else(|| first(["AWS_REGION", "AWS_DEFAULT_REGION"]));
        Self {
            place: Place {
                cloud: place_name(endpoint.as_deref()),
                region: region.filter(|region| !region.is_empty()),
            },
        }
    }
}

impl Cloud for NoCloud {
    fn place(&self) -> Place {
        self.place.clone()
    }

    fn find(&self, _wanted: &ImageRef, _deadline: &Deadline) -> Result<Answer, CloudError> {
        Err(CloudError::NotBuilt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem as _;
    use std::time::Duration;

    #[test]
    fn it_knows_its_place_and_says_what_is_missing() {
        let cloud = NoCloud::new(CloudOptions {
            region: Some("us-west-2".to_owned()),
            endpoint: Some("http://localhost:1".to_owned()),
            ..CloudOptions::default()
        });
        let place = cloud.place();
        assert_eq!(place.cloud, "aws@localhost");
        assert_eq!(place.region.as_deref(), Some("us-west-2"));
        let wanted = "cl_test".parse().unwrap();
        let error = cloud
            .find(&wanted, &Deadline::after(Duration::from_secs(1)))
            .unwrap_err();
        assert!(error.to_string().contains("without the EC2 client"));
        assert!(error.remedy().unwrap().contains("--offline"));
    }
}
