/* Preloaded into a process: counts its steps that change files below a folder, and at a chosen one kills the process or
 * begins to fail like a full disk. Steps are counted in the C library, so those of torch and safetensors count too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KILL = 0, FULL_DISK = 1, MOST_STEPS = 1 << 20 };

static char folder[PATH_MAX];
static size_t folder_length;
static atomic_long n_steps;
static long chosen = -1;
static int action;
static char kinds[MOST_STEPS];

/* Count from now on; `at` < 0: only count. */
void faults_arm(const char *root, long at, int what) {
    snprintf(folder, sizeof folder, "%s", root);
    folder_length = strlen(folder);
    chosen = at;
    action = what;
    atomic_store(&n_steps, 0);
}

long faults_steps(void) { return atomic_load(&n_steps); }
const char *faults_kinds(void) { return kinds; }

static int below(const char *path) {
    return folder_length > 0 && strncmp(path, folder, folder_length) == 0 &&
           (path[folder_length] == '/' || path[folder_length] == 0);
}

static int fd_below(int fd) {
    char link[64], path[PATH_MAX];
    if (folder_length == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return below(path);
}

static int at_below(int dirfd, const char *path) {
    return path[0] == '/' || dirfd == AT_FDCWD ? below(path) : fd_below(dirfd);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether this step is the chosen one, or comes after it. */
static int step(char kind) {
    long k = atomic_fetch_add(&n_steps, 1);
    if (k < MOST_STEPS) kinds[k] = kind;
    return chosen >= 0 && (action == KILL ? k == chosen : k >= chosen);
}

static int full(void) {
    errno = ENOSPC;
    return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The chosen write is cut in half before the process dies. */
#define WRITES(name, arguments, cut, call)                         \
    ssize_t name arguments {                                       \
        if (fd_below(fd) && step('w')) {                           \
            if (action == FULL_DISK) return full();                \
            cut;                                                   \
            die();                                                 \
        }                                                          \
        return call;                                               \
    }

WRITES(write, (int fd, const void *data, size_t n), REAL(write)(fd, data, n / 2), REAL(write)(fd, data, n))
WRITES(pwrite, (int fd, const void *data, size_t n, off_t at), REAL(pwrite)(fd, data, n / 2, at),
       REAL(pwrite)(fd, data, n, at))
WRITES(pwrite64, (int fd, const void *data, size_t n, off64_t at), REAL(pwrite64)(fd, data, n / 2, at),
       REAL(pwrite64)(fd, data, n, at))
WRITES(writev, (int fd, const struct iovec *parts, int n), REAL(write)(fd, parts[0].iov_base, parts[0].iov_len / 2),
       REAL(writev)(fd, parts, n))

ssize_t sendfile(int fd, int in, off_t *at, size_t n) {
    if (fd_below(fd) && step('w')) {
        if (action == FULL_DISK) return full();
        die();
    }
    return ((ssize_t(*)(int, int, off_t *, size_t))dlsym(RTLD_NEXT, "sendfile"))(fd, in, at, n);
}

ssize_t sendfile64(int fd, int in, off64_t *at, size_t n) {
    if (fd_below(fd) && step('w')) {
        if (action == FULL_DISK) return full();
        die();
    }
    return ((ssize_t(*)(int, int, off64_t *, size_t))dlsym(RTLD_NEXT, "sendfile64"))(fd, in, at, n);
}

/* Other steps: the process dies before the chosen one. A full disk lets them pass, except for new folders. */
#define PASSES(kind, name, arguments, where, call)                 \
    int name arguments {                                           \
        if ((where) && step(kind)) {                               \
            if (action == KILL) die();                             \
            if (kind == 'm') return full();                        \
        }                                                          \
        return call;                                               \
    }

PASSES('s', fsync, (int fd), fd_below(fd), REAL(fsync)(fd))
PASSES('s', fdatasync, (int fd), fd_below(fd), REAL(fdatasync)(fd))
PASSES('t', ftruncate, (int fd, off_t n), fd_below(fd), REAL(ftruncate)(fd, n))
PASSES('t', ftruncate64, (int fd, off64_t n), fd_below(fd), REAL(ftruncate64)(fd, n))
PASSES('r', rename, (const char *from, const char *to), below(to), REAL(rename)(from, to))
PASSES('r', renameat, (int from_fd, const char *from, int to_fd, const char *to), at_below(to_fd, to),
       REAL(renameat)(from_fd, from, to_fd, to))
PASSES('l', link, (const char *from, const char *to), below(to), REAL(link)(from, to))
PASSES('l', linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags), at_below(to_fd, to),
       REAL(linkat)(from_fd, from, to_fd, to, flags))
PASSES('u', unlink, (const char *path), below(path), REAL(unlink)(path))
PASSES('u', unlinkat, (int fd, const char *path, int flags), at_below(fd, path), REAL(unlinkat)(fd, path, flags))
PASSES('u', rmdir, (const char *path), below(path), REAL(rmdir)(path))
PASSES('m', mkdir, (const char *path, mode_t mode), below(path), REAL(mkdir)(path, mode))
PASSES('m', mkdirat, (int fd, const char *path, mode_t mode), at_below(fd, path), REAL(mkdirat)(fd, path, mode))
