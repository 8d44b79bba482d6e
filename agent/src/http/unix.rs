//! The unix socket: for people who cannot read root's token file, and for tools beside the agent.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::group;

const MODE: u32 = 0o660;
const BACKLOG: i32 = 128;

/// Why there is no socket at a path.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    #[error("an agent answers there already; stop it, or choose another path")]
    Live,
    #[error("it is there already and is not a socket; remove it, or choose another path")]
    NotASocket,
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
}

/// A listening socket; its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct UnixSocket {
    // First, so that the file goes while the socket still listens: no other agent can have taken the path by then.
    file: SocketFile,
    listener: UnixListener,
}

#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what somebody else put there since is left alone.
    identity: (u64, u64),
}

impl UnixSocket {
    /// Listens at `path`, for the owner and `group` if there is such a group. A file that a dead agent left is replaced.
    pub(super) fn bind(path: &Path, group: Option<&str>) -> Result<Self, UnixError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| UnixError::Io { what: "its folder", source })?;
        }
        clear(path)?;
        let failed = |what| move |source| UnixError::Io { what, source };
        let listener = open(path).map_err(failed("cannot listen"))?;
        let found = fs::symlink_metadata(path).map_err(failed("cannot be looked at"))?;
        let file = SocketFile { path: path.to_owned(), identity: (found.dev(), found.ino()) };
        admit(path, group).map_err(failed("cannot be given to its group"))?;
        // Nobody connects before this, so nobody gets in under other rights than the final ones.
        rustix::net::listen(&listener, BACKLOG).map_err(|error| failed("cannot listen")(error.into()))?;
        Ok(Self { file, listener })
    }

    pub(super) fn into_parts(self) -> (SocketFile, UnixListener) {
        (self.file, self.listener)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file.path = %self.path.display(), %error, "the socket's file stays behind");
        }
    }
}

/// Makes room at `path`, unless somebody listens there.
fn clear(path: &Path) -> Result<(), UnixError> {
    let failed = |what| move |source| UnixError::Io { what, source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("cannot be looked at")(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(UnixError::NotASocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(UnixError::Live),
        // Its queue is full: somebody is there.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(UnixError::Live),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("the file that a dead agent left cannot be removed"))
        }
        Err(error) => Err(failed("whether an agent answers there cannot be found out")(error)),
    }
}

fn open(path: &Path) -> io::Result<UnixListener> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket.into())
}

fn admit(path: &Path, group: Option<&str>) -> io::Result<()> {
    if let Some(name) = group {
        match group::gid_of(name)? {
            Some(gid) => chown(path, None, Some(gid))?,
            None => tracing::debug!(group.name = name, "no such group: the socket is for its owner's"),
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_for_its_group_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/zv.sock");
        let socket = UnixSocket::bind(&path, Some("no-such-group")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        assert!(matches!(UnixSocket::bind(&path, None), Err(UnixError::Live)));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_socket_is_replaced_and_anything_else_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zv.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves the file");
        drop(UnixSocket::bind(&path, None).unwrap());
        fs::write(&path, "mine").unwrap();
        assert!(matches!(UnixSocket::bind(&path, None), Err(UnixError::NotASocket)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn the_file_of_another_agent_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zv.sock");
        let first = UnixSocket::bind(&path, None).unwrap();
        fs::rename(&path, folder.path().join("aside")).unwrap();
        let _second = UnixSocket::bind(&path, None).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
