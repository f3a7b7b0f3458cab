//! Descriptors that were inherited by mistake: whoever started us left them open, and whoever we start would have them too.

use std::fs;
use std::io;
use std::os::fd::RawFd;

/// Closes every descriptor of this process but the standard streams and `own`.
///
/// # Errors
/// When `/proc/self/fd` cannot be listed.
pub fn close_all_but(own: &[RawFd]) -> io::Result<()> {
    let numbers: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers {
        if number > 2 && !own.contains(&number) {
            // EBADF: the listing's own descriptor, closed by now.
            let _ = nix::unistd::close(number);
        }
    }
    Ok(())
}
