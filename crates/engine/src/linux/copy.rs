//! Making one file as another, again and again: what is the same already is not written.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::transfers::Counter;

/// What is read at once, in bytes.
const PIECE: u64 = 1 << 20;
/// What is compared and written at once, in bytes.
const GRAIN: usize = 64 << 10;

// Why: a file system that can share blocks between files is told by an ioctl.
nix::ioctl_write_int!(ficlone, 0x94, 9);

/// Makes `to` a copy of `from` that shares its blocks: at once, where the file system can; whether it could.
pub fn clone(from: &File, to: &File) -> io::Result<bool> {
    let number = u64::try_from(from.as_raw_fd()).map_err(io::Error::other)?;
    // Why: see the ioctl.
    // SAFETY: both descriptors are open, and the call takes and gives nothing but numbers.
    match unsafe { ficlone(to.as_raw_fd(), number) } {
        Ok(_) => Ok(true),
        Err(
            Errno::EOPNOTSUPP | Errno::EXDEV | Errno::EINVAL | Errno::ENOTTY | Errno::EPERM | Errno::ENOSYS,
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes the first `length` bytes of `to`, which has that many, those of `from`. Holes stay holes. Says how many
/// bytes it had to write; a deadline that passes is an error.
pub fn bring(
    from: &File,
    to: &File,
    length: u64,
    counter: &Counter,
    until: Option<Instant>,
) -> io::Result<u64> {
    let (mut at, mut written) = (0, 0);
    let (mut new, mut old) = (vec![0; PIECE as usize], vec![0; PIECE as usize]);
    while let Some(start) = next_data(from, to, at)?.filter(|start| *start < length) {
        counter.require_wanted()?;
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let size = PIECE.min(length - start) as usize;
        read(from, &mut new[..size], start)?;
        read(to, &mut old[..size], start)?;
        for (index, piece) in new[..size].chunks(GRAIN).enumerate() {
            let offset = index * GRAIN;
            if *piece != old[offset..offset + piece.len()] {
                to.write_all_at(piece, start + offset as u64)?;
                written += piece.len() as u64;
            }
        }
        at = start + size as u64;
        counter.reach(at);
    }
    counter.reach(length);
    Ok(written)
}

/// How many bytes of a file are no holes.
pub fn data_bytes(file: &File) -> io::Result<u64> {
    let length = i64::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let (mut at, mut found) = (0, 0);
    while at < length {
        let begin = match lseek(file, at, Whence::SeekData) {
            Ok(begin) => begin,
            Err(Errno::ENXIO) => break,
            Err(error) => return Err(error.into()),
        };
        at = lseek(file, begin, Whence::SeekHole)?;
        found += (at - begin).unsigned_abs();
    }
    Ok(found)
}

/// Where one of the files has something but a hole, from `at` on.
fn next_data(from: &File, to: &File, at: u64) -> io::Result<Option<u64>> {
    let next = |file: &File| match lseek(file, i64::try_from(at).map_err(io::Error::other)?, Whence::SeekData)
    {
        Ok(found) => Ok(Some(found.cast_unsigned())),
        Err(Errno::ENXIO) => Ok(None),
        // A file system that does not tell.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(Some(at)),
        Err(error) => Err(io::Error::from(error)),
    };
    Ok([next(from)?, next(to)?].into_iter().flatten().min())
}

/// What lies there; zeros behind the end.
fn read(file: &File, mut into: &mut [u8], mut at: u64) -> io::Result<()> {
    while !into.is_empty() {
        match file.read_at(into, at) {
            Ok(0) => {
                into.fill(0);
                return Ok(());
            }
            Ok(bytes) => {
                into = &mut into[bytes..];
                at += bytes as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    const LENGTH: u64 = 20 << 20;

    #[test]
    fn a_second_pass_writes_what_has_changed_and_holes_stay_holes() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name| {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(true);
            let file = options.open(folder.path().join(name)).unwrap();
            file.set_len(LENGTH).unwrap();
            file
        };
        let (from, to, counter) = (open("from"), open("to"), Counter::default());
        from.write_all_at(&[1; 100], 5 << 20).unwrap();
        from.write_all_at(&[2; 300_000], LENGTH - 300_000).unwrap();
        let pass = || bring(&from, &to, LENGTH, &counter, None).unwrap();
        let same =
            || fs::read(folder.path().join("from")).unwrap() == fs::read(folder.path().join("to")).unwrap();
        assert!((300_100..1 << 20).contains(&pass()) && same());
        assert_eq!(pass(), 0);
        from.write_all_at(&[0; 100], 5 << 20).unwrap();
        from.write_all_at(&[3], 12_345_678).unwrap();
        // What came after the first pass into the copy alone goes.
        to.write_all_at(&[9; 10], 9 << 20).unwrap();
        assert_eq!(pass(), 3 * GRAIN as u64);
        assert!(same() && to.metadata().unwrap().blocks() * 512 < LENGTH / 4);
        let late = bring(&from, &to, LENGTH, &counter, Some(Instant::now())).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
