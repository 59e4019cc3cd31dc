//! The attributes of an FPGA image: how they are named, and how an answer tells one
//! (`fpga_image_attributes.md` of aws-fpga).

use crate::catalog::CatalogImage;
use crate::cloud::error::ApiError;
use crate::cloud::query::shown;
use crate::cloud::xml::Xml;

/// An attribute (EC2 API Reference, `FpgaImageAttributeName`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Name,
    Description,
    LoadPermission,
    ProductCodes,
}

impl Attribute {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "name" => Ok(Self::Name),
            "description" => Ok(Self::Description),
            "loadPermission" => Ok(Self::LoadPermission),
            "productCodes" => Ok(Self::ProductCodes),
            _ => Err(ApiError::invalid_value(
                "Attribute",
                shown(text),
                "Expecting name, description, loadPermission or productCodes.",
            )),
        }
    }

    /// Writes the attribute of an image.
    pub(super) fn write(self, xml: &mut Xml, image: &CatalogImage) {
        xml.element("fpgaImageAttribute", |xml| {
            xml.text("fpgaImageId", &image.afi.to_string());
            match self {
                Self::Name => xml.optional_text("name", image.name.as_deref()),
                Self::Description => {
                    xml.optional_text("description", image.description.as_deref());
                }
                Self::LoadPermission => load_permissions(xml, image),
                Self::ProductCodes => {
                    xml.list("productCodes", &image.product_codes, |xml, code| {
                        xml.text("productCode", code);
                        xml.text("type", "marketplace");
                    })
                }
            }
        });
    }
}

fn load_permissions(xml: &mut Xml, image: &CatalogImage) {
    let everybody = image.public.then(|| ("group", "all".to_owned()));
    let accounts = image.shared_with.iter();
    let accounts = accounts.map(|account| ("userId", account.to_string()));
    xml.list(
        "loadPermissions",
        everybody.into_iter().chain(accounts),
        |xml, (element, who)| xml.text(element, &who),
    );
}
