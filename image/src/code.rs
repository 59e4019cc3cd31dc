//! Why the service makes no image of a tarball: the codes that it gives, and their texts.

use std::fmt;

use serde::{Serialize, Serializer};

/// The code of a failure, as it stands before the colon in the state message of an image.
///
/// Sources: `create_fpga_image_error_codes.md` of the HDK's `master` branch (F1), the page "AWS CLI
/// FPGA Commands" of the F2 documentation, and for copies "copy-fpga-image" in both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FailureCode {
    /// The tarball cannot be read from S3.
    InaccessibleInput,
    /// The tarball has a size that cannot be.
    InputSizeIllegal,
    /// The tarball is no tar archive.
    CorruptArchive,
    /// There is no manifest in it.
    ManifestNotFound,
    /// The manifest is not understood.
    ManifestParseFailed,
    /// The file that the manifest names is not there.
    DcpNotFound,
    /// The checkpoint has another hash than the manifest says.
    DcpIntegrityUnverified,
    /// The checkpoint cannot be opened.
    DcpCorrupt,
    /// The checkpoint is not encrypted.
    DcpNotEncrypted,
    /// There is no such shell.
    ShellVersionInvalid,
    /// The shell was replaced.
    ShellVersionDeprecated,
    /// A PCI id is missing, is no number, or is out of range.
    PciIdSyntaxInvalid,
    /// A PCI id is reserved.
    PciIdForbidden,
    /// There is no such clock recipe.
    ClkIllegal,
    /// The version of the tool is not known.
    ToolVersionInvalid,
    /// The design has logic that is not allowed.
    UnsupportedDesignLogic,
    /// The bitstream could not be made.
    UnknownBitstreamGenerateError,
    /// The source of a copy is not there.
    NotFound,
    /// The source of a copy is not available.
    InvalidState,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 19] = [
        Self::InaccessibleInput,
        Self::InputSizeIllegal,
        Self::CorruptArchive,
        Self::ManifestNotFound,
        Self::ManifestParseFailed,
        Self::DcpNotFound,
        Self::DcpIntegrityUnverified,
        Self::DcpCorrupt,
        Self::DcpNotEncrypted,
        Self::ShellVersionInvalid,
        Self::ShellVersionDeprecated,
        Self::PciIdSyntaxInvalid,
        Self::PciIdForbidden,
        Self::ClkIllegal,
        Self::ToolVersionInvalid,
        Self::UnsupportedDesignLogic,
        Self::UnknownBitstreamGenerateError,
        Self::NotFound,
        Self::InvalidState,
    ];

    /// The code itself, such as `CLK_ILLEGAL`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InaccessibleInput => "INACCESSIBLE_INPUT",
            Self::InputSizeIllegal => "INPUT_SIZE_ILLEGAL",
            Self::CorruptArchive => "CORRUPT_ARCHIVE",
            Self::ManifestNotFound => "MANIFEST_NOT_FOUND",
            Self::ManifestParseFailed => "MANIFEST_PARSE_FAILED",
            Self::DcpNotFound => "DCP_NOT_FOUND",
            Self::DcpIntegrityUnverified => "DCP_INTEGRITY_UNVERIFIED",
            Self::DcpCorrupt => "DCP_CORRUPT",
            Self::DcpNotEncrypted => "DCP_NOT_ENCRYPTED",
            Self::ShellVersionInvalid => "SHELL_VERSION_INVALID",
            Self::ShellVersionDeprecated => "SHELL_VERSION_DEPRECATED",
            Self::PciIdSyntaxInvalid => "PCIID_SYNTAX_INVALID",
            Self::PciIdForbidden => "PCIID_FORBIDDEN",
            Self::ClkIllegal => "CLK_ILLEGAL",
            Self::ToolVersionInvalid => "TOOL_VERSION_INVALID",
            Self::UnsupportedDesignLogic => "UNSUPPORTED_DESIGN_LOGIC",
            Self::UnknownBitstreamGenerateError => "UNKNOWN_BITSTREAM_GENERATE_ERROR",
            Self::NotFound => "NOT_FOUND",
            Self::InvalidState => "INVALID_STATE",
        }
    }

    /// What the service says after the code; `None` where no document shows it.
    pub const fn message(self) -> Option<&'static str> {
        Some(match self {
            Self::InaccessibleInput => {
                "Error accessing resource in S3. Check permissions, naming, and ensure the bucket \
                 is within the same region as the API endpoint."
            }
            Self::InputSizeIllegal => "Input file size is not valid",
            Self::CorruptArchive => "Failed to parse the input tarball archive",
            Self::ManifestNotFound => {
                "No manifest file was found. See AWS FPGA HDK documentation for valid input format. \
                 We recommend using the scripts provided with AWS FPGA HDK"
            }
            Self::ManifestParseFailed => {
                "Parsing the manifest file failed. We recommend using the scripts provided with AWS \
                 FPGA HDK"
            }
            Self::DcpNotFound => {
                "No DCP file was found with the supplied filename. See AWS FPGA HDK documentation \
                 for valid input format. We recommend using the scripts provided with AWS FPGA HDK"
            }
            Self::DcpIntegrityUnverified => {
                "The DCP integrity SHA-256 hash does not match the provided DCP"
            }
            Self::DcpCorrupt => "Could not parse the input DCP. The DCP files seems to be corrupt",
            Self::DcpNotEncrypted => "The DCP was not encrypted",
            Self::ShellVersionInvalid => "The Shell Version provided is invalid",
            Self::ShellVersionDeprecated => "The Shell Version provided is deprecated",
            Self::PciIdSyntaxInvalid => {
                "PCI ID is not provided, wrongly formatted, or value is out of range valid range \
                 1-65535 or 0x0001-0xFFFF"
            }
            Self::PciIdForbidden => {
                "PCI ID value used is reserved. See AWS FPGA HDK documentation for reserved PCI"
            }
            Self::ClkIllegal => {
                "Provided clocks configuration is illegal. See AWS FPGA HDK documentation for \
                 supported clocks configuration"
            }
            Self::UnsupportedDesignLogic => {
                "The FPGA image bitstream generation failed during design rule validation. If an S3 \
                 LogsStorageLocation was provided in the CreateFpgaImage request, review the \
                 captured bitstream generation logs saved to S3 under the FpgaImageId for this AFI."
            }
            Self::UnknownBitstreamGenerateError => {
                "An error occurred generating the FPGA image bitstream. If an S3 LogsStorageLocation \
                 was provided in the CreateFpgaImage request, review the captured bitstream \
                 generation logs saved to S3 under the FpgaImageId for this AFI."
            }
            Self::NotFound => {
                "Source image is not found or the user ID is not authorized to copy source image."
            }
            Self::InvalidState => "Source image is not in a suitable state to allow copying.",
            Self::ToolVersionInvalid => return None,
        })
    }

    /// The state message of an image that failed with this code: `CODE: text`, or the code alone
    /// where no document shows the text.
    pub fn state_message(self) -> String {
        match self.message() {
            Some(message) => format!("{self}: {message}"),
            None => self.name().to_owned(),
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for FailureCode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_a_name_of_its_own() {
        let names: HashSet<_> = FailureCode::ALL.map(FailureCode::name).into();
        assert_eq!(names.len(), FailureCode::ALL.len());
    }

    #[test]
    fn a_state_message_is_what_the_documents_show() {
        assert_eq!(
            FailureCode::InvalidState.state_message(),
            "INVALID_STATE: Source image is not in a suitable state to allow copying."
        );
        let unknown = FailureCode::ToolVersionInvalid.state_message();
        assert_eq!(unknown, "TOOL_VERSION_INVALID");
    }
}
