//! Asks for images: `DescribeFpgaImages` (EC2 API Reference).

use aws_sdk_ec2::operation::describe_fpga_images::builders::DescribeFpgaImagesFluentBuilder;
use aws_sdk_ec2::types::Filter;

use super::super::{Answer, CloudError};
use super::convert::{Converted, convert};
use super::failure::{NOT_FOUND, failure};
use super::setup::Session;
use crate::image::ImageRef;

/// The action, as permissions name it.
const ACTION: &str = "ec2:DescribeFpgaImages";
/// Images on a page: the most that the API allows.
const PAGE: i32 = 1000;
/// Pages that are read at most. A page can be empty and have a successor, as filters are applied
/// page by page; an account has at most some thousand images.
const MOST_PAGES: usize = 100;

/// Every image that `wanted` may mean.
pub(super) async fn images(session: &Session, wanted: &ImageRef) -> Result<Answer, CloudError> {
    let call = session.call(ACTION);
    let mut answer = Answer {
        region: session.region.clone(),
        images: Vec::new(),
        without_agfi: Vec::new(),
    };
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let request = request(session, wanted).set_next_token(token.clone());
        let page = match request.send().await {
            Ok(page) => page,
            Err(error) => {
                let error = failure(error, call, &session.endpoint);
                // No such image, or none that this account can see.
                return match error {
                    CloudError::Refused { code, .. } if code == NOT_FOUND => Ok(answer),
                    other => Err(other),
                };
            }
        };
        for image in page.fpga_images() {
            match convert(image, &answer.region) {
                Ok(Converted::Image(image)) => answer.images.push(*image),
                Ok(Converted::WithoutAgfi(image)) => answer.without_agfi.push(image),
                Err(problem) => {
                    return Err(CloudError::Answer {
                        call,
                        problem,
                        source: None,
                    });
                }
            }
        }
        let next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(answer);
        }
        if next == token {
            return Err(CloudError::Answer {
                call,
                problem: "a page names itself as the next one".to_owned(),
                source: None,
            });
        }
        token = next;
    }
    Err(CloudError::Answer {
        call,
        problem: format!("it has more than {MOST_PAGES} pages"),
        source: None,
    })
}

/// The request for the first page.
fn request(session: &Session, wanted: &ImageRef) -> DescribeFpgaImagesFluentBuilder {
    let request = session.client.describe_fpga_images();
    let filtered = |name: String, value: String| {
        let filter = Filter::builder().name(name).values(value).build();
        request.clone().filters(filter).max_results(PAGE)
    };
    match wanted {
        // No page size: the API does not allow it together with ids.
        ImageRef::Afi(id) => request.clone().fpga_image_ids(id.to_string()),
        ImageRef::Agfi(id) => filtered("fpga-image-global-id".to_owned(), id.to_string()),
        ImageRef::Name(name) => filtered("name".to_owned(), exactly(name)),
        ImageRef::Tag { key, value } => filtered(format!("tag:{key}"), exactly(value)),
    }
}

/// A filter value that matches this text and nothing else: `*` and `?` are wildcards, and a
/// backslash takes that from them (EC2 User Guide, "List and filter using the CLI and API").
fn exactly(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '\\') {
            value.push('\\');
        }
        value.push(character);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::exactly;

    #[test]
    fn wildcards_lose_their_meaning() {
        assert_eq!(exactly("cl_hello 1.0"), "cl_hello 1.0");
        assert_eq!(exactly(r"a*b?c\d"), r"a\*b\?c\\d");
    }
}
