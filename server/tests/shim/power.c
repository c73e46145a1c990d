/* A disk that can be cut off, for tests (LD_PRELOAD). What the store writes goes to its files at once, as the page cache
 * has it; what was there before is remembered until the file is synced. When the power goes, each sector (512 bytes) that
 * was written since the last sync is kept or put back, by lot, and the process is killed: a sync is the only promise that a
 * disk makes.
 *
 * POWER_DIR names a directory. The file `arm` in it holds what to do:
 *     cut N SEED       after N calls that write or sync: the power goes
 *     main N SEED      the same, but only calls on the main file count: it is written by checkpoints
 *     liar N SEED      the same, by a disk that has been lying: nothing since `arm` was ever synced
 *     fail N M         after N calls M of them fail (EIO; of a write, half of it is there)
 * The file is taken away when it has been read, and what came of it is appended to `report`. Only files of the store are looked at; their names, sizes when they shrink, and
 * the shared-memory index (made anew by whoever opens it) are taken to be safe.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, WRITES_MAX = 200000 };
enum mode { OFF, CUT, MAIN, LIAR, FAIL };

struct undo {
    ino_t inode;
    char path[256];
    off_t offset;
    off_t size_before;
    size_t length;
    char *before;
    size_t before_length;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct undo unsynced[WRITES_MAX];
static size_t writes;
static enum mode mode;
static long left, failures;
static uint64_t lots;
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fdatasync)(int);

static void find_real(void) {
    if (!real_pwrite) {
        real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
        real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    }
}

/* xorshift64*: the lots of one seed are the same on every machine. */
static uint64_t lot(void) {
    lots ^= lots >> 12;
    lots ^= lots << 25;
    lots ^= lots >> 27;
    return lots * 2685821657736338717ULL;
}

static int is_store(int fd, char *path, size_t room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, room - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "/pay-once.") != NULL && strstr(path, "-shm") == NULL;
}

static void report(const char *line) {
    char path[512];
    snprintf(path, sizeof path, "%s/report", getenv("POWER_DIR"));
    FILE *file = fopen(path, "a");
    if (file) {
        fputs(line, file);
        fclose(file);
    }
}

/* Looks for orders, once they are there. */
static void look(void) {
    const char *dir = getenv("POWER_DIR");
    if (mode != OFF || !dir) return;
    char path[512], what[16];
    unsigned long long third;
    snprintf(path, sizeof path, "%s/arm", dir);
    FILE *file = fopen(path, "r");
    if (!file) return;
    if (fscanf(file, "%15s %ld %llu", what, &left, &third) == 3) {
        mode = !strcmp(what, "cut") ? CUT : !strcmp(what, "main") ? MAIN : !strcmp(what, "liar") ? LIAR : FAIL;
        lots = third * 2 + 1;
        failures = (long)third;
    }
    fclose(file);
    unlink(path);
}

static void put_back(struct undo *undo, size_t *kept, size_t *lost) {
    int fd = open(undo->path, O_WRONLY);
    if (fd < 0) return;
    off_t end = undo->offset + (off_t)undo->length;
    for (off_t at = undo->offset; at < end;) {
        off_t next = (at / SECTOR + 1) * SECTOR;
        size_t length = (size_t)((next < end ? next : end) - at);
        if (mode == LIAR || lot() % 2) {
            char zeros[SECTOR] = {0};
            size_t from = (size_t)(at - undo->offset);
            size_t known = from < undo->before_length ? undo->before_length - from : 0;
            if (known > length) known = length;
            memcpy(zeros, undo->before + from, known);
            if (real_pwrite(fd, zeros, length, at) < 0) abort();
            ++*lost;
        } else {
            ++*kept;
        }
        at = next;
    }
    /* A file that had grown may have its old size again. */
    if ((mode == LIAR || lot() % 2) && ftruncate(fd, undo->size_before) < 0) abort();
    close(fd);
}

static void power_goes(void) {
    size_t kept = 0, lost = 0, main_file = 0;
    /* The last write first, so that in the end each sector has something that it once had. */
    for (size_t n = writes; n-- > 0;) {
        if (!strstr(unsynced[n].path, "-wal")) ++main_file;
        put_back(&unsynced[n], &kept, &lost);
    }
    char line[160];
    snprintf(line, sizeof line, "%s writes %zu main %zu kept %zu lost %zu\n", mode == LIAR ? "liar" : "cut", writes,
             main_file, kept, lost);
    report(line);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* One call more. Whether it is to fail. */
static int strikes(const char *path) {
    look();
    if (mode == OFF || (mode == MAIN && strstr(path, "-wal"))) return 0;
    if (left-- > 0) return 0;
    if (mode != FAIL) power_goes();
    report("fail\n");
    if (--failures <= 0) mode = OFF;
    return 1;
}

static void remember(int fd, const char *path, size_t length, off_t offset) {
    struct stat now;
    if (fstat(fd, &now) < 0) abort();
    if (writes == WRITES_MAX) {
        report("full\n");
        abort();
    }
    struct undo *undo = &unsynced[writes++];
    undo->inode = now.st_ino;
    snprintf(undo->path, sizeof undo->path, "%s", path);
    undo->offset = offset;
    undo->length = length;
    undo->size_before = now.st_size;
    undo->before = malloc(length ? length : 1);
    ssize_t there = pread(fd, undo->before, length, offset);
    undo->before_length = there > 0 ? (size_t)there : 0;
}

static void forget(int fd) {
    struct stat now;
    if (fstat(fd, &now) < 0) abort();
    size_t kept = 0;
    for (size_t n = 0; n < writes; ++n) {
        if (unsynced[n].inode == now.st_ino) {
            free(unsynced[n].before);
        } else {
            unsynced[kept++] = unsynced[n];
        }
    }
    writes = kept;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    char path[256];
    find_real();
    if (!is_store(fd, path, sizeof path)) return real_pwrite(fd, bytes, length, offset);
    pthread_mutex_lock(&lock);
    int fails = strikes(path);
    remember(fd, path, length, offset);
    ssize_t done = real_pwrite(fd, bytes, fails ? length / 2 : length, offset);
    pthread_mutex_unlock(&lock);
    if (fails) {
        errno = EIO;
        return -1;
    }
    return done;
}

int fdatasync(int fd) {
    char path[256];
    find_real();
    if (!is_store(fd, path, sizeof path)) return real_fdatasync(fd);
    pthread_mutex_lock(&lock);
    int fails = strikes(path);
    int done = fails ? -1 : real_fdatasync(fd);
    if (done == 0 && mode != LIAR) forget(fd);
    pthread_mutex_unlock(&lock);
    if (fails) errno = EIO;
    return done;
}
