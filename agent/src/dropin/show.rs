//! The lines that tell of images, functions, lights and switches.
//!
//! Source: the `printf` formats of `fpga_local_cmd.c`.

use afi_pcie::FunctionInfo;

use crate::pipeline::SlotState;

/// Names of the columns of [`image`].
pub(super) const IMAGE_COLUMNS: &str = "Type  FpgaImageSlot  FpgaImageId             StatusName    \
                                        StatusCode   ErrorName    ErrorCode   ShVersion\n";
/// Names of the columns of [`function`].
pub(super) const FUNCTION_COLUMNS: &str = "Type  FpgaImageSlot  VendorId    DeviceId    DBDF\n";

/// What a slot runs.
pub(super) fn image(slot: u8, state: &SlotState) -> String {
    let SlotState {
        status,
        error,
        shell,
        ..
    } = state;
    let id = state
        .image
        .map_or_else(|| "none".to_owned(), |image| image.to_string());
    // The names are those of the shell's codes; errno values, which are negative, have none here.
    let error_name = match error.0 {
        ..0 => "internal-error",
        _ => error.name(),
    };
    format!(
        "{:<10}  {slot:>2}       {id:<22}  {:<8}         {:>2}        {error_name:<8}        {:>2}       {shell}\n",
        "AFI",
        status.name(),
        status.0,
        error.0,
    )
}

/// A function of a slot.
pub(super) fn function(slot: u8, function: &FunctionInfo) -> String {
    let ids = function.ids;
    format!(
        "{:<10}  {slot:>2}       0x{:04x}      0x{:04x}      {}\n",
        "AFIDEVICE", ids.vendor, ids.device, function.bdf
    )
}
