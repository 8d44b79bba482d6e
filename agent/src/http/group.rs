//! Finds a group's number. `/etc/group` is read directly: a static binary has no name service.

use std::fs;
use std::io;

/// Returns the number of the group called `name`, if this host has one.
pub(super) fn gid_of(name: &str) -> io::Result<Option<u32>> {
    match fs::read_to_string("/etc/group") {
        Ok(text) => Ok(find(&text, name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn find(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        found.then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_number_by_the_whole_name() {
        let text = "root:x:0:\nzvx:x:7:\nzv:x:990:alice,bob\nbroken:x\n";
        assert_eq!(find(text, "zv"), Some(990));
        assert_eq!(find(text, "root"), Some(0));
        assert_eq!(find(text, "broken"), None);
        assert_eq!(find(text, "nobody"), None);
    }
}
