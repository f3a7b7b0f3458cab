"""A target that hangs its readers: its arguments and its poll set lie in pages of a FUSE file whose server answers
no read, and so does an open descriptor whose attributes have expired. Needs root, for a mount of its own.

Exit status 77: not permitted here."""
import ctypes, mmap, os, select, struct, sys, threading

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
CLONE_NEWNS, MS_REC, MS_PRIVATE, MAP_FIXED, MAP_PRIVATE = 0x20000, 0x4000, 1 << 18, 0x10, 2
LOOKUP, FORGET, GETATTR, OPEN, READ, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 26, 36, 42


def attributes(node):
    mode = 0o40755 if node == 1 else 0o100644
    return struct.pack("<6Q10I", node, 1 << 20, 2048, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(device, opened):
    """Answers what leads to an open file, and after that nothing."""
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique, node = struct.unpack_from("<IIQQ", request)
        if operation in (FORGET, READ, INTERRUPT, BATCH_FORGET) or (operation == GETATTR and opened.is_set()):
            continue
        error, body = 0, b""
        if operation == INIT:
            body = struct.pack("<4I2H2I2HI7I", 7, 31, 1 << 17, 0, 16, 12, 1 << 17, 1, 1, 0, 0, *[0] * 7)
        elif operation == LOOKUP:
            body = struct.pack("<4Q2I", 2, 1, 1000, 0, 0, 0) + attributes(2)
        elif operation == GETATTR:
            body = struct.pack("<Q2I", 0, 0, 0) + attributes(node)
        elif operation == OPEN:
            body = struct.pack("<Q2I", 0, 0, 0)
        else:
            error = -38
        os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


def main(directory):
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if (libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
            or libc.mount(b"x", directory.encode(), b"fuse", 0, options)):
        sys.exit(77)
    # The server is a process of its own: the target must not be able to serve itself.
    ready, go = os.pipe()
    if os.fork() == 0:
        os.close(go)
        opened = threading.Event()
        threading.Thread(target=lambda: (os.read(ready, 1), opened.set()), daemon=True).start()
        serve(device, opened)
    os.close(device)
    file = os.open(directory + "/file", os.O_RDWR)
    os.write(go, b"x")

    page = mmap.PAGESIZE
    words = libc.mmap(None, page, 3, MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    empty, _keep = os.pipe()
    ctypes.memmove(words, struct.pack("<ihh", empty, select.POLLIN, 0), 8)
    poller = threading.Thread(target=lambda: libc.poll(ctypes.c_void_p(words), ctypes.c_ulong(1), -1))
    poller.start()
    # Field 3 of its own syscall line is the set's address: then the kernel has copied the set.
    path = f"/proc/self/task/{poller.native_id}/syscall"
    while f"{words:#x}" not in open(path).read():
        os.sched_yield()
    arguments = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[45]) // page * page
    for place in (words, arguments):
        libc.mmap(place, page, 3, MAP_PRIVATE | MAP_FIXED, file, 0)
    os.read(empty, 1)


main(sys.argv[1])
