//! The checkpoint: whether it is there, is the one that the manifest tells of, and can be one.

use afi_proto::Family;

use crate::FailureCode;
use crate::contents::{Contents, File, Role, listed};
use crate::finding::{Finding, quoted};
use crate::manifest::Lines;
use crate::manifest::key::Key;
use crate::report::{Manifest, Report};

/// Hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;

pub(super) fn check(
    lines: &Lines,
    contents: &Contents,
    family: Option<Family>,
    manifest: &mut Manifest,
    report: &mut Report,
) {
    let text_of = |key| {
        let value = lines.get(key).filter(|value| !value.text.is_empty());
        value.map(|value| value.text.clone())
    };
    manifest.dcp_file_name = text_of(Key::DcpFileName);
    manifest.dcp_hash = text_of(Key::DcpHash).map(|hash| hash.to_ascii_lowercase());
    let file = find(lines, contents, report);
    hash(lines, contents, file, report);
    if let Some(file) = file {
        shape(file, family, report);
        others(file, contents, report);
    }
}

/// Without a manifest: whether there is a checkpoint at all.
pub(super) fn without_manifest(contents: &Contents, report: &mut Report) {
    if checkpoints(contents).next().is_none() && !contents.is_broken {
        report.add(
            not_found("there is no checkpoint")
                .wanted("'to_aws/NAME.dcp'")
                .fix(PUT),
        );
    }
}

const PUT: &str = "put the checkpoint that Vivado wrote into 'to_aws', or use 'afi image pack'";

/// The file that the manifest names; else the one checkpoint that is there, so that the other rules
/// have something to look at.
fn find<'a>(lines: &Lines, contents: &'a Contents, report: &mut Report) -> Option<&'a File> {
    let only = || {
        let mut checkpoints = checkpoints(contents);
        checkpoints.next().filter(|_| checkpoints.next().is_none())
    };
    let Some(value) = lines.get(Key::DcpFileName).filter(|v| !v.text.is_empty()) else {
        return only();
    };
    let wrong = |message: &str| {
        let found = not_found(message).at(value.place.clone());
        found.seen(quoted(&value.text))
    };
    if let Some((_, base)) = value.text.rsplit_once('/') {
        let found = wrong("dcp_file_name has a directory in it");
        let fix = format!("write 'dcp_file_name={}'", crate::finding::shown(base));
        report.add(found.wanted("the name of the file alone").fix(fix));
        return only();
    }
    let mut named = contents
        .files
        .iter()
        .filter(|file| file.base == value.text.as_bytes());
    let first = named.next();
    let file = named
        .find(|file| file.in_place)
        .filter(|_| !first.is_some_and(|f| f.in_place))
        .or(first);
    if let Some(file) = file {
        if file.role != Role::Checkpoint {
            let found = "dcp_file_name does not end with '.dcp'";
            let found = Finding::warning(FailureCode::DcpNotFound, found).at(value.place.clone());
            report.add(
                found
                    .seen(quoted(&value.text))
                    .fix("name the checkpoint NAME.dcp"),
            );
        }
        return Some(file);
    }
    if contents.is_broken {
        return None;
    }
    let there = listed(checkpoints(contents).map(|file| &*file.name));
    let found = wrong("there is no file of the name that dcp_file_name gives");
    let fix = match only() {
        Some(file) => format!("write 'dcp_file_name={}', if it is that one", base(file)),
        None => PUT.to_owned(),
    };
    report.add(
        found
            .wanted(format!("a checkpoint of the archive, which has {there}"))
            .fix(fix),
    );
    only()
}

fn hash(lines: &Lines, contents: &Contents, file: Option<&File>, report: &mut Report) {
    let Some(value) = lines.get(Key::DcpHash).filter(|v| !v.text.is_empty()) else {
        return;
    };
    let unverified = |message: &str| {
        let found = Finding::error(FailureCode::DcpIntegrityUnverified, message);
        found.at(value.place.clone()).seen(quoted(&value.text))
    };
    let write = |file: &File| format!("write 'dcp_hash={}'", file.sha256);
    let digits = value.text.len() == HASH_DIGITS;
    if !digits || !value.text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let found = unverified("dcp_hash is no SHA-256");
        let fix = file.map_or_else(
            || "write what 'sha256sum' prints of the checkpoint".to_owned(),
            write,
        );
        report.add(found.wanted("64 hexadecimal digits").fix(fix));
        return;
    }
    let Some(file) = file else { return };
    let hash = value.text.to_ascii_lowercase();
    if hash == file.sha256 {
        if hash != value.text {
            let found = Finding::warning(
                FailureCode::DcpIntegrityUnverified,
                "dcp_hash is written with capital letters, and 'sha256sum' writes small ones",
            );
            report.add(found.at(value.place.clone()).fix(write(file)));
        }
        return;
    }
    let other = contents.files.iter().find(|other| other.sha256 == hash);
    let fix = match other {
        Some(other) => format!(
            "it is the hash of {}: name that one in dcp_file_name, or {}",
            quoted(&other.name),
            write(file)
        ),
        None => format!(
            "if {} is the right checkpoint, {}",
            quoted(&file.name),
            write(file)
        ),
    };
    let found = unverified("the checkpoint has another hash than dcp_hash says");
    report.add(found.wanted(quoted(&file.sha256)).fix(fix));
}

/// Whether the file can be a checkpoint.
fn shape(file: &File, family: Option<Family>, report: &mut Report) {
    let checkpoint = &file.checkpoint;
    let code = FailureCode::DcpCorrupt;
    let again = "write the checkpoint again with Vivado's 'write_checkpoint'";
    if let Some(damage) = checkpoint.damage {
        let found = format!("the checkpoint is no zip file, which Vivado writes: {damage}");
        report.add(Finding::error(code, found).member(&file.name).fix(again));
    }
    if checkpoint.has_description == Some(false) {
        let found = "the checkpoint is a zip file, and 'dcp.xml' is not in it";
        report.add(Finding::warning(code, found).member(&file.name).fix(again));
    }
    // The build script of F2 does not encrypt, and the documents of F2 do not have the code.
    let netlist = checkpoint.plain_netlist.as_ref();
    if let Some(netlist) = netlist.filter(|_| family == Some(Family::F1)) {
        let found = "the netlist in the checkpoint is plain text";
        let fix =
            "write the checkpoint with 'write_checkpoint -encrypt', as the build script of F1 does";
        report.add(
            Finding::warning(FailureCode::DcpNotEncrypted, found)
                .member(&file.name)
                .seen(quoted(netlist))
                .wanted("an encrypted netlist")
                .fix(fix),
        );
    }
}

/// Checkpoints beside the one that is taken.
fn others(taken: &File, contents: &Contents, report: &mut Report) {
    for file in checkpoints(contents).filter(|file| file.name != taken.name) {
        let found = "the manifest does not name this checkpoint: it makes the upload longer";
        report.add(Finding::note(found).member(&file.name));
    }
}

fn checkpoints(contents: &Contents) -> impl Iterator<Item = &File> {
    contents
        .files
        .iter()
        .filter(|file| file.role == Role::Checkpoint)
}

fn base(file: &File) -> String {
    crate::contents::shown_bytes(&file.base)
}

fn not_found(message: &str) -> Finding {
    Finding::error(FailureCode::DcpNotFound, message)
}
