//! What the files of a function say: ids, class, NUMA node, BARs.
//!
//! Source: `drivers/pci/pci-sysfs.c` (formats) and `include/linux/ioport.h` (flags) of Linux.

/// What an id looks like.
pub(super) const WANTED_ID: &str = "a 16-bit number such as 0x1d0f";
/// What a class looks like.
pub(super) const WANTED_CLASS: &str = "a 24-bit number such as 0x058000";
/// What a NUMA node looks like.
pub(super) const WANTED_NODE: &str = "the number of a NUMA node, or -1";
/// What the list of resources looks like.
pub(super) const WANTED_RESOURCES: &str = "at least six lines of start, end and flags of a BAR, such \
     as 0x0000000082000000 0x0000000083ffffff 0x0000000000040200";

/// The resource is memory (`IORESOURCE_MEM`), not ports.
const MEMORY: u64 = 0x200;
/// Reads of it have no side effects (`IORESOURCE_PREFETCH`).
const PREFETCHABLE: u64 = 0x2000;
/// The kernel has not assigned addresses to it (`IORESOURCE_UNSET`).
const UNSET: u64 = 0x2000_0000;
/// BARs of a function.
const BARS: usize = 6;

/// A line of the file `resource`: a BAR that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resource {
    /// The first bus address.
    pub(super) start: u64,
    /// Bytes, a power of two.
    pub(super) size: u64,
    flags: u64,
}

impl Resource {
    /// Whether it is memory, not ports.
    pub(super) const fn is_memory(self) -> bool {
        self.flags & MEMORY != 0
    }

    /// Whether reads of it have no side effects.
    pub(super) const fn is_prefetchable(self) -> bool {
        self.flags & PREFETCHABLE != 0
    }

    /// Whether the kernel has given it addresses.
    pub(super) const fn is_assigned(self) -> bool {
        self.flags & UNSET == 0 && self.start != 0
    }
}

/// Understands an id: `0x1d0f`.
pub(super) fn id(text: &str) -> Option<u16> {
    hex(text, 4)?.try_into().ok()
}

/// Understands a class: `0x058000` is base class 05, sub-class 80, interface 00.
pub(super) fn class(text: &str) -> Option<u32> {
    hex(text, 6)?.try_into().ok()
}

/// Understands a NUMA node; -1 is none.
pub(super) fn numa_node(text: &str) -> Option<Option<u32>> {
    if text == "-1" {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Some)
}

/// Understands the list of resources; a line of zeros is a BAR that is not there. Lines behind the
/// six of the BARs, for the ROM, virtual functions and bridges, are not looked at.
pub(super) fn resources(text: &str) -> Option<[Option<Resource>; BARS]> {
    let mut lines = text.lines();
    let mut resources = [None; BARS];
    for resource in &mut resources {
        *resource = self::resource(lines.next()?)?;
    }
    Some(resources)
}

fn resource(line: &str) -> Option<Option<Resource>> {
    let mut numbers = line.split(' ').map(|number| hex(number, 16));
    let (start, end, flags) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if numbers.next().is_some() {
        return None;
    }
    if (start, end, flags) == (0, 0, 0) {
        return Some(None);
    }
    let size = end.checked_sub(start)?.checked_add(1)?;
    size.is_power_of_two()
        .then_some(Some(Resource { start, size, flags }))
}

/// `0x` and one to `most` hexadecimal digits.
fn hex(text: &str, most: usize) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    let fits = (1..=most).contains(&digits.len());
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|_| fits && only_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_kernel_writes_them_and_not_otherwise() {
        assert_eq!(id("0x1d0f"), Some(0x1D0F));
        for text in ["", "0x", "1d0f", "0x1d0f0", "0x+1d", "0xg", " 0x1", "0x1 "] {
            assert_eq!(id(text), None, "{text}");
        }
        assert_eq!(class("0x058000"), Some(0x05_8000));
        assert_eq!(class("0x0580000"), None);
        assert_eq!(numa_node("-1"), Some(None));
        assert_eq!(numa_node("1"), Some(Some(1)));
        for text in ["", "-2", "+1", "0x1", "4294967296"] {
            assert_eq!(numa_node(text), None, "{text}");
        }
    }

    #[test]
    fn bars_are_read_from_their_lines() {
        let none = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
        let bar0 = "0x0000000082000000 0x0000000083ffffff 0x0000000000040200\n";
        let bar4 = "0x0000002000000000 0x0000003fffffffff 0x000000000014220c\n";
        let text = format!("{bar0}{none}{none}{none}{bar4}{none}{none}");
        let bars = resources(&text).unwrap();
        let (first, fifth) = (bars[0].unwrap(), bars[4].unwrap());
        assert_eq!((first.start, first.size), (0x8200_0000, 32 << 20));
        assert!(first.is_memory() && first.is_assigned());
        assert_eq!(fifth.size, 128 << 30);
        assert_eq!([bars[1], bars[2], bars[3], bars[5]], [None; 4]);
    }

    #[test]
    fn a_bar_without_addresses_has_a_size_all_the_same() {
        let line = "0x0000000000000000 0x0000000000003fff 0x0000000020040200";
        let bar = resource(line).unwrap().unwrap();
        assert_eq!(bar.size, 0x4000);
        assert!(!bar.is_assigned());
    }

    #[test]
    fn lines_that_are_no_bar_are_refused() {
        for line in [
            "",
            "0x0 0x0",
            "0x0 0x0 0x0 0x0",
            "0x2000 0x1000 0x200",
            "0x1000 0x2fff0 0x200",
            "0x0 0xffffffffffffffff 0x200",
            "0 0 0",
            "0x1000  0x1fff 0x200",
        ] {
            assert_eq!(resource(line), None, "{line}");
        }
        assert_eq!(resources("0x0 0x0 0x0\n"), None);
    }
}
