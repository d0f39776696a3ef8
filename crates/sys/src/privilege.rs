//! What this process may do, and giving it up.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// A user that a process can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Id of the user's own group.
    pub gid: u32,
}

impl User {
    /// The first of `names` that `/etc/passwd` knows and that is not root.
    ///
    /// Users from directories (LDAP and the like) are not looked for: a daemon's own
    /// user is local, and a check must not wait for a directory.
    pub fn first_of(names: &[&str]) -> io::Result<Option<User>> {
        let database = std::fs::read_to_string("/etc/passwd")?;
        Ok(names.iter().find_map(|name| {
            database
                .lines()
                .find_map(|line| User::from_line(line, name))
        }))
    }

    /// A user of `/etc/passwd` or one without a name, given by number; `group` is one of
    /// `/etc/group` or a number, and without it the user's own. Root is a user too.
    ///
    /// # Errors
    /// `NotFound` for a name that the files do not have.
    pub fn find(name: &str, group: Option<&str>) -> io::Result<User> {
        let unknown = |what: &str, name: &str| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no {what} {name}"),
            )
        };
        let users = std::fs::read_to_string("/etc/passwd")?;
        let named = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name));
        let numbers = match &named {
            Some(fields) => fields
                .get(2)
                .zip(fields.get(3))
                .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?))),
            None => name.parse().ok().map(|uid| (uid, uid)),
        };
        let (uid, own) = numbers.ok_or_else(|| unknown("user", name))?;
        let gid = match group {
            None => own,
            Some(group) => {
                let groups = std::fs::read_to_string("/etc/group")?;
                let named = groups
                    .lines()
                    .map(|line| line.split(':').collect::<Vec<_>>())
                    .find(|fields| fields.first() == Some(&group));
                let number = named.as_ref().and_then(|fields| fields.get(2));
                let number = number.unwrap_or(&group).parse();
                number.map_err(|_| unknown("group", group))?
            }
        };
        Ok(User {
            name: name.to_owned(),
            uid,
            gid,
        })
    }

    /// The groups of `/etc/group` that the user is in, besides its own.
    pub fn supplementary_groups(&self) -> io::Result<Vec<u32>> {
        let database = std::fs::read_to_string("/etc/group")?;
        let groups = database
            .lines()
            .filter_map(|line| self.group_from_line(line));
        Ok(groups.filter(|group| *group != self.gid).collect())
    }

    /// A line of group(5), `name:password:GID:members`, if the user is among the members.
    fn group_from_line(&self, line: &str) -> Option<u32> {
        let mut fields = line.split(':').skip(2);
        let (gid, members) = (fields.next()?, fields.next()?);
        let is_member = members.split(',').any(|member| member == self.name);
        gid.parse().ok().filter(|_| is_member)
    }

    /// A line of passwd(5), `name:password:UID:GID:GECOS:directory:shell`, if it is of `name`.
    fn from_line(line: &str, name: &str) -> Option<User> {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
        let gid = fields.next()?.parse().ok()?;
        Some(User {
            name: name.to_owned(),
            uid,
            gid,
        })
    }
}

/// Makes this process `user`'s, for good: no capability in any set, none to be had
/// by an exec, no supplementary group.
///
/// The process must have a single thread, since Linux keeps all of this by thread;
/// with more it is refused. What did not come about is an error: on success nothing
/// is left.
pub fn drop_to(user: &User) -> io::Result<()> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other(
            "privileges can only be dropped before a second thread starts",
        ));
    }
    rustix::thread::set_no_new_privs(true)?;
    rustix::thread::clear_ambient_capability_set()?;
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel is older than this capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)?;
    if rustix::thread::capabilities(None)? != none
        || rustix::process::geteuid() != uid
        || rustix::process::getuid() != uid
    {
        return Err(io::Error::other("privileges remain after dropping them"));
    }
    Ok(())
}

/// The capabilities that a director needs and this process lacks, by name.
pub fn missing_capabilities() -> io::Result<Vec<&'static str>> {
    let effective = rustix::thread::capabilities(None)?.effective;
    let needed = [
        // Addresses, filters, programs on devices.
        ("CAP_NET_ADMIN", CapabilitySet::NET_ADMIN),
        // VRRP and gratuitous ARP.
        ("CAP_NET_RAW", CapabilitySet::NET_RAW),
        // Maps and programs; before 5.8, and still, CAP_SYS_ADMIN includes it.
        ("CAP_BPF", CapabilitySet::BPF | CapabilitySet::SYS_ADMIN),
        // The check process becomes another user.
        ("CAP_SETUID", CapabilitySet::SETUID),
        ("CAP_SETGID", CapabilitySet::SETGID),
    ];
    Ok(needed
        .into_iter()
        .filter(|(_, any_of)| !effective.intersects(*any_of))
        .map(|(name, _)| name)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_from_lines_of_passwd() {
        let nobody = User {
            name: "nobody".to_owned(),
            uid: 65534,
            gid: 65533,
        };
        let line = "nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin";
        assert_eq!(User::from_line(line, "nobody"), Some(nobody));
        assert_eq!(User::from_line(line, "nobod"), None);
        assert_eq!(User::from_line("elver:x:0:0:::", "elver"), None, "root");
        assert_eq!(User::from_line("elver:x::0:::", "elver"), None);
        assert_eq!(User::from_line("elver", "elver"), None);
    }
}
