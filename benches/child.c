/* The child of the benches: as little as a program can be, so that what is measured is its capture.
 *
 * usage: child OUT ERR PIECE: so many bytes to stdout and to stderr, in pieces, one of each in turn.
 *
 * On x86-64 it has no C library: glibc asks the processor for its caches at every start, and in a virtual machine each
 * such question costs some ten microseconds, more than all the rest. */
#include <stddef.h>

static char piece[1 << 20];

#ifdef __x86_64__
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static long put_some(int fd, size_t count) { return call(1, fd, (long)piece, (long)count); }

static void leave(int code) {
    for (;;) {
        call(60, code, 0, 0);
    }
}
#else
#include <unistd.h>

static long put_some(int fd, size_t count) { return write(fd, piece, count); }

static void leave(int code) { _exit(code); }
#endif

static void put(int fd, size_t *left, size_t most) {
    size_t count = *left < most ? *left : most;
    while (count > 0) {
        long written = put_some(fd, count);
        if (written < 0) {
            leave(1);
        }
        count -= (size_t)written;
        *left -= (size_t)written;
    }
}

static size_t number(const char *text) {
    size_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (size_t)(*text - '0');
    }
    return value;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        leave(2);
    }
    size_t out = number(argv[1]), err = number(argv[2]), most = number(argv[3]);
    if (most == 0 || most > sizeof piece) {
        leave(2);
    }
    while (out > 0 || err > 0) {
        put(1, &out, most);
        put(2, &err, most);
    }
    leave(0);
    return 0;
}

#ifdef __x86_64__
/* argc and argv stand at the top of the stack (System V ABI). */
__asm__(".globl _start\n_start:\n\tmov (%rsp), %rdi\n\tlea 8(%rsp), %rsi\n\tand $-16, %rsp\n\tcall main\n");
#endif
