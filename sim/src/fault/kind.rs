//! The kinds of faults, and their names.

/// A kind of fault. [`Kind::ALL`] has a sentence on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The mailbox never takes a request.
    MailboxSilent,
    /// The mailbox takes requests and never answers.
    MailboxMute,
    /// The slot is busy and stays so.
    BusyForever,
    /// The first N loads are refused as busy.
    BusyLoads,
    /// The header of a response is nonsense.
    ResponseMalformed,
    /// A response is shorter than it tells.
    ResponseTruncated,
    /// A response tells more words than the mailbox has.
    ResponseOversized,
    /// A response to somebody else comes before the right one.
    ResponseStale,
    /// Only stale responses come.
    ResponseStaleForever,
    /// A response is of another kind than the request.
    ResponseWrongOpcode,
    /// A load ends in an error.
    LoadError,
    /// A clear ends in an error.
    ClearError,
    /// Other ids appear on the bus than the image has.
    IdsDiffer,
    /// The card does not answer: every read is all ones.
    DeviceGone,
    /// The card goes away when a load begins.
    DeviceGoneOnLoad,
    /// The application function stays away after a load.
    AppMissing,
    /// Bus mastering is off after a load.
    BusMasterOff,
    /// A DMA channel that is started stays busy until the function is reset.
    DmaHang,
    /// A descriptor arrives spoiled.
    DmaDescriptorError,
    /// The data of a descriptor arrive spoiled, or are refused by the card.
    DmaDataError,
    /// A channel's interrupt is never sent.
    DmaInterruptLost,
    /// A channel's write-back is never written.
    DmaWriteBackLost,
    /// A descriptor takes VALUE milliseconds longer.
    DmaSlow,
    /// The card goes away when a channel fetches descriptors.
    DmaDeviceGone,
    /// The API answers `RequestLimitExceeded`.
    ApiThrottled,
    /// The API answers with an internal error.
    ApiInternalError,
    /// The API answers after VALUE milliseconds.
    ApiSlow,
    /// The API refuses connections.
    ApiRefused,
    /// The API answers `UnauthorizedOperation`.
    ApiDenied,
    /// The API knows no image.
    ApiEmpty,
    /// The API knows the image and the slot cannot load it.
    ImageGone,
    /// The API answers that the credentials have expired.
    ApiExpired,
    /// The object store answers `SlowDown`.
    StoreThrottled,
    /// The object store answers with an internal error.
    StoreInternalError,
    /// The object store answers after VALUE milliseconds.
    StoreSlow,
    /// The object store denies access.
    StoreDenied,
    /// Every bucket is in another region.
    StoreOtherRegion,
    /// The source of a copy is deleted while it is copied.
    CopySourceGone,
    /// The creation of an image fails with the code VALUE.
    CreateFails,
    /// The instance is being stopped: no machine image can be made of it.
    InstanceStopping,
}

/// What the VALUE of a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// It takes none.
    None,
    /// How often it strikes; without one, always.
    OptionalCount,
    /// How often it strikes; it needs one.
    Count,
    /// An error by name or number.
    Error,
    /// Milliseconds.
    Milliseconds,
    /// A code of the service for an image that cannot be created.
    Failure,
}

impl Kind {
    /// Every kind: its name, what its value is, and what happens.
    pub const ALL: &'static [(Self, &'static str, ValueKind, &'static str)] = {
        use ValueKind as V;
        &[
            (
                Self::MailboxSilent,
                "mailbox-silent",
                V::OptionalCount,
                "the mailbox never takes a request",
            ),
            (
                Self::MailboxMute,
                "mailbox-mute",
                V::OptionalCount,
                "the mailbox takes requests and never answers",
            ),
            (
                Self::BusyForever,
                "busy-forever",
                V::None,
                "the slot is busy and stays so",
            ),
            (
                Self::BusyLoads,
                "busy-loads",
                V::Count,
                "the first N loads are refused as busy",
            ),
            (
                Self::ResponseMalformed,
                "response-malformed",
                V::OptionalCount,
                "the header of a response is nonsense",
            ),
            (
                Self::ResponseTruncated,
                "response-truncated",
                V::OptionalCount,
                "a response is shorter than it tells",
            ),
            (
                Self::ResponseOversized,
                "response-oversized",
                V::OptionalCount,
                "a response tells more words than the mailbox has",
            ),
            (
                Self::ResponseStale,
                "response-stale",
                V::OptionalCount,
                "a response to somebody else comes before the right one",
            ),
            (
                Self::ResponseStaleForever,
                "response-stale-forever",
                V::None,
                "only responses to somebody else come",
            ),
            (
                Self::ResponseWrongOpcode,
                "response-wrong-opcode",
                V::OptionalCount,
                "a response is of another kind than the request",
            ),
            (
                Self::LoadError,
                "load-error",
                V::Error,
                "a load ends in this error",
            ),
            (
                Self::ClearError,
                "clear-error",
                V::Error,
                "a clear ends in this error",
            ),
            (
                Self::IdsDiffer,
                "ids-differ",
                V::OptionalCount,
                "other ids appear on the bus than the image has",
            ),
            (
                Self::DeviceGone,
                "device-gone",
                V::None,
                "the card does not answer: every read is all ones",
            ),
            (
                Self::DeviceGoneOnLoad,
                "device-gone-on-load",
                V::None,
                "the card goes away when a load begins",
            ),
            (
                Self::AppMissing,
                "app-missing",
                V::OptionalCount,
                "the application function stays away after a load",
            ),
            (
                Self::BusMasterOff,
                "bus-master-off",
                V::OptionalCount,
                "bus mastering is off after a load",
            ),
            (
                Self::DmaHang,
                "dma-hang",
                V::OptionalCount,
                "a DMA channel that is started stays busy until the function is reset",
            ),
            (
                Self::DmaDescriptorError,
                "dma-descriptor-error",
                V::OptionalCount,
                "a fetch of DMA descriptors ends in an error",
            ),
            (
                Self::DmaDataError,
                "dma-data-error",
                V::OptionalCount,
                "the data of a DMA descriptor end in an error",
            ),
            (
                Self::DmaInterruptLost,
                "dma-interrupt-lost",
                V::OptionalCount,
                "an interrupt of a DMA channel is never sent",
            ),
            (
                Self::DmaWriteBackLost,
                "dma-write-back-lost",
                V::OptionalCount,
                "a DMA channel never writes a completion to host memory",
            ),
            (
                Self::DmaSlow,
                "dma-slow",
                V::Milliseconds,
                "each DMA descriptor takes so many milliseconds longer",
            ),
            (
                Self::DmaDeviceGone,
                "dma-device-gone",
                V::OptionalCount,
                "the card goes away when a DMA channel fetches descriptors",
            ),
            (
                Self::ApiThrottled,
                "api-throttled",
                V::OptionalCount,
                "the API answers RequestLimitExceeded",
            ),
            (
                Self::ApiInternalError,
                "api-5xx",
                V::OptionalCount,
                "the API answers with an internal error",
            ),
            (
                Self::ApiSlow,
                "api-slow",
                V::Milliseconds,
                "the API answers after so many milliseconds",
            ),
            (
                Self::ApiRefused,
                "api-refused",
                V::None,
                "the API refuses connections",
            ),
            (
                Self::ApiDenied,
                "api-denied",
                V::OptionalCount,
                "the API answers UnauthorizedOperation",
            ),
            (
                Self::ApiEmpty,
                "api-empty",
                V::OptionalCount,
                "the API knows no image",
            ),
            (
                Self::ImageGone,
                "image-gone",
                V::None,
                "the API knows the image and the slot cannot load it",
            ),
            (
                Self::ApiExpired,
                "api-expired",
                V::OptionalCount,
                "the API answers that the credentials have expired",
            ),
            (
                Self::StoreThrottled,
                "s3-throttled",
                V::OptionalCount,
                "S3 answers SlowDown",
            ),
            (
                Self::StoreInternalError,
                "s3-5xx",
                V::OptionalCount,
                "S3 answers with an internal error",
            ),
            (
                Self::StoreSlow,
                "s3-slow",
                V::Milliseconds,
                "S3 answers after so many milliseconds",
            ),
            (
                Self::StoreDenied,
                "s3-denied",
                V::OptionalCount,
                "S3 denies access, to clients and to the creation of images",
            ),
            (
                Self::StoreOtherRegion,
                "s3-other-region",
                V::OptionalCount,
                "buckets of S3 are in another region than the one that asks",
            ),
            (
                Self::CopySourceGone,
                "copy-source-gone",
                V::OptionalCount,
                "the source of a copy is deleted while it is copied",
            ),
            (
                Self::CreateFails,
                "create-fails",
                V::Failure,
                "the creation of an image fails with this code",
            ),
            (
                Self::InstanceStopping,
                "instance-stopping",
                V::None,
                "the instance is being stopped",
            ),
        ]
    };

    fn row(self) -> &'static (Self, &'static str, ValueKind, &'static str) {
        let row = Self::ALL.iter().find(|(kind, ..)| *kind == self);
        row.expect("every kind has a row")
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What its value is.
    pub fn value(self) -> ValueKind {
        self.row().2
    }
}
