//! Checkpoints for tests, and what is seen of them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;

use super::*;

/// A zip file of these files, packed.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut zip, mut table) = (Vec::new(), Vec::new());
    for (name, contents) in files {
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
        packer.write_all(contents).unwrap();
        let packed = packer.finish().unwrap();
        let at = zip.len() as u32;
        let mut common = Vec::new();
        common.extend([20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        common.extend((packed.len() as u32).to_le_bytes());
        common.extend((contents.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        zip.extend(LOCAL_HEADER);
        zip.extend(&common);
        zip.extend(name.as_bytes());
        zip.extend(packed);
        table.extend(b"PK\x01\x02\x14\0");
        table.extend(&common);
        table.extend([0; 10]);
        table.extend(at.to_le_bytes());
        table.extend(name.as_bytes());
    }
    let at = zip.len() as u32;
    zip.extend(&table);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend([files.len() as u8, 0, files.len() as u8, 0]);
    zip.extend((table.len() as u32).to_le_bytes());
    zip.extend(at.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

/// Bytes that cannot be packed.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let next = |state: &u64| Some(state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1));
    let states = std::iter::successors(Some(1), next);
    states
        .map(|state| (state >> 56) as u8)
        .take(length)
        .collect()
}

/// What is seen of a file that comes in pieces of this size.
fn seen(file: &[u8], piece: usize) -> Checkpoint {
    let mut inspector = Inspector::new(file.len() as u64);
    for piece in file.chunks(piece) {
        inspector.update(piece);
    }
    inspector.finish()
}

#[test]
fn a_checkpoint_is_known_whatever_the_pieces() {
    let noise = noise(400_000);
    let file = zip(&[
        ("dcp.xml", b"<Design/>"),
        ("top.xdef", &noise),
        ("top.edf", b"(edif top (edifVersion 2 0 0)"),
    ]);
    for piece in [1, 7, 512, 4096, file.len()] {
        let seen = seen(&file, piece);
        assert_eq!(seen.damage, None);
        assert_eq!(seen.has_description, Some(true));
        assert_eq!(seen.plain_netlist.as_deref(), Some("top.edf"), "{piece}");
    }
}

#[test]
fn an_encrypted_netlist_is_not_plain() {
    let file = zip(&[("dcp.xml", b"<Design/>"), ("top.edf", b"XlxV64EB  fa00")]);
    assert_eq!(seen(&file, 100).plain_netlist, None);
}

#[test]
fn a_zip_without_a_description_is_told() {
    let file = zip(&[("readme", b"hello")]);
    let seen = seen(&file, 100);
    assert_eq!((seen.damage, seen.has_description), (None, Some(false)));
}

#[test]
fn damage_is_told() {
    let file = zip(&[("dcp.xml", b"<Design/>")]);
    let damage = |file: &[u8]| seen(file, 64).damage.unwrap();
    assert_eq!(damage(b""), "it is empty");
    assert!(damage(b"hello").contains("does not begin"));
    assert!(damage(&file[..file.len() - 1]).contains("cut short"));
    let mut moved = file.clone();
    let offset = moved.len() - 6;
    moved[offset + 1] = 0x7F;
    assert!(damage(&moved).contains("not where it says"));
    let mut broken = file.clone();
    let table = broken.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    broken[table] = b'Q';
    assert!(damage(&broken).contains("damaged"));
}

proptest! {
    #[test]
    fn whatever_it_is_given_it_keeps_little_and_says_the_same(
        mut file in proptest::collection::vec(any::<u8>(), 0..6000),
        header in any::<bool>(),
        piece in 1_usize..3000,
    ) {
        if header && file.len() > 4 {
            file[..4].copy_from_slice(LOCAL_HEADER);
        }
        prop_assert_eq!(seen(&file, piece), seen(&file, 6000));
    }

    #[test]
    fn a_damaged_checkpoint_is_seen_the_same_whatever_the_pieces(
        at in any::<prop::sample::Index>(),
        value: u8,
        piece in 1_usize..500,
    ) {
        let mut file = zip(&[("dcp.xml", b"<Design/>"), ("a.edf", b"XlxV"), ("b.edf", b"(edif b")]);
        let at = at.index(file.len());
        file[at] = value;
        prop_assert_eq!(seen(&file, piece), seen(&file, 6000));
    }
}
