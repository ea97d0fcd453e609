//! Where the files of a pass go: into the station's folder, or, if that is gone (a stick that was pulled,
//! somebody who tidied up), wherever they can be kept.
//!
//! ```text
//!  passes ──► first folder of $STATE_DIRECTORY, /passes ──► the temporary folder, /tulpar-passes
//! ```

use std::env;
use std::io;
use std::path::{Path, PathBuf};

/// Sees to it that a folder is there and can be written to.
///
/// # Errors
/// It cannot be made, or written to.
pub fn make_ready(folder: &Path) -> io::Result<()> {
    // Passes begin at the same time: each tries with a file of its own.
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    let probe = folder.join(format!(".tulpar-{}-{number}", std::process::id()));
    std::fs::create_dir_all(folder)?;
    std::fs::write(&probe, b"")?;
    let _ = std::fs::remove_file(&probe);
    Ok(())
}

/// The folder for a pass's files, which is made if it is gone, or the first of the others that can be
/// written to; and what is to be said if it is another. If none can be, it is the wanted one.
pub fn for_files(wanted: &Path) -> (PathBuf, Option<String>) {
    first_ready(wanted, others())
}

/// What there is besides.
fn others() -> Vec<PathBuf> {
    let state = env::var_os("STATE_DIRECTORY");
    // systemd separates several by colons.
    let state = state.as_ref().and_then(|paths| env::split_paths(paths).next());
    let state = state.filter(|path| path.is_absolute()).map(|path| path.join("passes"));
    state.into_iter().chain([env::temp_dir().join("tulpar-passes")]).collect()
}

fn first_ready(wanted: &Path, others: Vec<PathBuf>) -> (PathBuf, Option<String>) {
    let Err(error) = make_ready(wanted) else { return (wanted.to_owned(), None) };
    let line = format!("{}: cannot be written to ({error})", wanted.display());
    match others.into_iter().find(|folder| make_ready(folder).is_ok()) {
        Some(other) => {
            let line = format!("{line}; the pass is kept in {}", other.display());
            (other, Some(line))
        }
        None => (wanted.to_owned(), Some(line)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_gone_is_made_and_one_that_cannot_be_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("a").join("passes");
        assert_eq!(first_ready(&gone, Vec::new()), (gone.clone(), None));
        assert_eq!(std::fs::read_dir(&gone).unwrap().count(), 0);
        // No folder can be made below a file, whoever asks.
        std::fs::write(folder.path().join("file"), "").unwrap();
        let wrong = folder.path().join("file").join("passes");
        let other = folder.path().join("other");
        let (taken, said) = first_ready(&wrong, vec![wrong.clone(), other.clone()]);
        assert_eq!(taken, other);
        assert!(said.unwrap().ends_with(&format!("is kept in {}", other.display())));
        let (taken, said) = first_ready(&wrong, Vec::new());
        assert!(taken == wrong && said.is_some());
        assert!(!others().is_empty());
    }
}
