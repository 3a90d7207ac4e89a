//! The `files` recipe: a folder, perhaps fixed paths, perhaps a check and a reload command.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perennial_core::words::Name;
use perennial_wire::program::Program;

use super::access::AccessSettings;
use super::door::Group;
use super::layout::File;
use super::trouble::Trouble;

/// A target that is a directory on this machine.
///
/// Point servers at `<dir>/<certificate>/current/fullchain.pem` and `privkey.pem` beside it. In the
/// words of the commands, `{certificate}`, `{dir}`, `{fullchain}`, `{cert}`, `{chain}` and `{key}`
/// stand for the certificate's name and for the files concerned: for the check the staged ones, for
/// the reload the active ones.
#[derive(Clone, Debug)]
pub struct FilesSettings {
    /// Where the folders of the certificates are; absolute.
    pub dir: PathBuf,
    /// Paths that servers are configured with already; each becomes a link into the folder.
    pub paths: PublicPaths,
    /// What certificates were called before they were renamed: whoever reads below the old name
    /// goes on reading what is active.
    pub former: BTreeMap<Name, Name>,
    /// Owner, group and modes.
    pub access: AccessSettings,
    /// Whether what others put there may be replaced.
    pub take_over: bool,
    /// Checks what is staged.
    pub validate: Option<Program>,
    /// Tells the server.
    pub reload: Option<Program>,
}

/// Paths that servers are configured with, with `{certificate}` for the certificate's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicPaths {
    /// The leaf and its chain.
    pub fullchain: Option<PathBuf>,
    /// The leaf.
    pub cert: Option<PathBuf>,
    /// The chain without the leaf.
    pub chain: Option<PathBuf>,
    /// The key.
    pub key: Option<PathBuf>,
}

impl PublicPaths {
    /// Returns the one group of paths, or none if no path is configured.
    pub(super) fn groups(&self, certificate: &Name) -> Result<Vec<Group>, Trouble> {
        let mut paths = Vec::new();
        for (file, path) in [
            (File::Fullchain, &self.fullchain),
            (File::Cert, &self.cert),
            (File::Chain, &self.chain),
            (File::Key, &self.key),
        ] {
            let Some(path) = path else { continue };
            let path = path.to_string_lossy().replace("{certificate}", certificate.as_str());
            let path = PathBuf::from(path);
            if !path.is_absolute() {
                return Err(Trouble::Relative(path));
            }
            paths.push((file, path));
        }
        Ok(if paths.is_empty() { Vec::new() } else { vec![Group::new(paths)] })
    }
}
