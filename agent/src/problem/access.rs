//! What helps a user who is not root and was refused a file, by what is wrong with it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, Group, User, getegid, getgroups, getuid};

use crate::lock::GROUP;

/// Where rules of udev are (udev(7)).
const RULES: [&str; 4] = [
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
];
/// Our file there.
const RULES_FILE: &str = "70-afi.rules";
/// Read and write, for the group.
const GROUP_MODE: u32 = 0o060;

/// What keeps a user from a file that members of the group may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    /// The group is not there.
    NoGroup,
    /// The file is not the group's.
    NotGiven,
    /// The user is not in the group.
    NoMember,
    /// The user is, and was not when this session began.
    OldSession,
    /// The file is the group's, and so is the process: it was given just now.
    Settled,
}

/// What helps against being refused a file of a PCI function.
pub(super) fn to_device(path: &Path) -> String {
    let installed = RULES
        .iter()
        .any(|directory| Path::new(directory).join(RULES_FILE).exists());
    match (obstacle(path), installed) {
        (Obstacle::NotGiven, true) => {
            "run this as root, or have udev apply its rules for the slots: \
             sudo udevadm trigger --settle --subsystem-match=pci"
                .to_owned()
        }
        (Obstacle::NotGiven, false) => format!(
            "run this as root, or let the group '{GROUP}' use the slots with a rule of udev: \
             afi udev --print-rules | sudo tee {}/{RULES_FILE}; sudo udevadm control --reload; \
             sudo udevadm trigger --settle --subsystem-match=pci",
            RULES[0]
        ),
        (other, _) => in_common(other),
    }
}

/// What helps against being refused the directory of the locks, or a file in it.
pub(crate) fn to_locks(directory: &Path, path: &Path) -> String {
    match obstacle(path) {
        Obstacle::NotGiven => format!(
            "run this as root, or give the directory to the group '{GROUP}': \
             sudo install -d -m 2770 -g {GROUP} {}",
            directory.display()
        ),
        other => in_common(other),
    }
}

fn in_common(obstacle: Obstacle) -> String {
    match obstacle {
        Obstacle::NoGroup => format!(
            "run this as root, or make the group '{GROUP}' and join it: \
             sudo groupadd --system {GROUP}; sudo usermod -aG {GROUP} $USER"
        ),
        Obstacle::NoMember => format!(
            "run this as root, or join the group '{GROUP}' and log in again: \
             sudo usermod -aG {GROUP} $USER"
        ),
        Obstacle::OldSession => {
            format!("log in again: you are in the group '{GROUP}' since after this session began")
        }
        Obstacle::NotGiven | Obstacle::Settled => {
            "try again: the file was given to your group just now".to_owned()
        }
    }
}

fn obstacle(path: &Path) -> Obstacle {
    // A lookup that fails is a group that is not there: without /etc/group it ends in ENOENT.
    let Ok(Some(group)) = Group::from_name(GROUP) else {
        return Obstacle::NoGroup;
    };
    // A file in a directory that is closed to this user: then the directory is what counts.
    let nearest = path.ancestors().find_map(|path| fs::metadata(path).ok());
    let is_given = nearest.is_some_and(|data| is_given(&data, group.gid));
    let in_session =
        getegid() == group.gid || getgroups().is_ok_and(|groups| groups.contains(&group.gid));
    let user = User::from_uid(getuid()).ok().flatten();
    let in_group = user.is_some_and(|user| user.gid == group.gid || group.mem.contains(&user.name));
    judge(is_given, in_session, in_group)
}

fn is_given(data: &Metadata, group: Gid) -> bool {
    data.gid() == group.as_raw() && data.mode() & GROUP_MODE != 0
}

const fn judge(is_given: bool, in_session: bool, in_group: bool) -> Obstacle {
    match (is_given, in_session, in_group) {
        (_, false, false) => Obstacle::NoMember,
        (_, false, true) => Obstacle::OldSession,
        (false, true, _) => Obstacle::NotGiven,
        (true, true, _) => Obstacle::Settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_in_the_group_is_told_to_join_before_all_else() {
        assert_eq!(judge(true, false, false), Obstacle::NoMember);
        assert_eq!(judge(false, false, false), Obstacle::NoMember);
        assert_eq!(judge(true, false, true), Obstacle::OldSession);
        assert_eq!(judge(false, true, true), Obstacle::NotGiven);
        assert_eq!(judge(true, true, false), Obstacle::Settled);
    }

    #[test]
    fn every_obstacle_comes_with_its_command() {
        for (obstacle, command) in [
            (Obstacle::NoGroup, "sudo groupadd --system fpga"),
            (Obstacle::NoMember, "sudo usermod -aG fpga $USER"),
            (Obstacle::OldSession, "log in again"),
            (Obstacle::Settled, "try again"),
        ] {
            let text = in_common(obstacle);
            assert!(text.contains(command), "{text}");
        }
    }

    #[test]
    fn a_file_is_given_by_its_group_and_what_the_group_may_do() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        let given = |mode| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let data = file.as_file().metadata().unwrap();
            let own = is_given(&data, Gid::from_raw(data.gid()));
            assert!(!is_given(&data, Gid::from_raw(data.gid() + 1)));
            own
        };
        assert!(given(0o660) && given(0o220) && !given(0o600));
    }
}
