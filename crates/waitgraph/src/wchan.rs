//! Names of kernel functions that tasks sleep in: a cross-check only, since they change from kernel to kernel.

use crate::descriptor::Object;

/// Whether the function belongs to another kind of object than `object`. A name that is not known contradicts nothing.
pub(crate) fn contradicts(name: &[u8], object: &Object) -> bool {
    let Ok(name) = std::str::from_utf8(name) else {
        return false;
    };
    // `.isra.0`, `.constprop.0` and `.part.0` are the compiler's.
    let name = name.split('.').next().unwrap_or_default();
    let is_pipe = matches!(object, Object::Pipe { .. } | Object::Fifo { .. });
    let is_unix = matches!(object, Object::UnixSocket { .. });
    match name {
        "anon_pipe_read" | "anon_pipe_write" | "fifo_pipe_read" | "fifo_pipe_write"
        | "pipe_read" | "pipe_write" | "pipe_wait" | "pipe_wait_readable"
        | "pipe_wait_writable" => !is_pipe,
        "unix_stream_read_generic" | "unix_wait_for_peer" | "sock_alloc_send_pskb" => !is_unix,
        "wait_for_partner"
        | "do_wait"
        | "hrtimer_nanosleep"
        | "futex_wait_queue"
        | "futex_wait_queue_me"
        | "futex_do_wait" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::contradicts;
    use crate::descriptor::Object;

    #[test]
    fn a_pipe_wait_on_something_else_is_a_number_used_again() {
        let null = Object::File {
            path: "/dev/null".into(),
        };
        let pipe = Object::Pipe { inode: 1 };
        assert!(contradicts(b"anon_pipe_read", &null));
        assert!(contradicts(b"unix_stream_read_generic.isra.0", &pipe));
        for name in [
            &b"anon_pipe_read"[..],
            b"pipe_wait",
            b"pipe_read.part.0",
            b"0",
            b"",
            b"some_new_name",
        ] {
            assert!(!contradicts(name, &pipe), "{name:?}");
        }
        assert!(!contradicts(b"0", &null));
    }
}
