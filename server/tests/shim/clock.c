/* A wall clock that can be set, for tests (LD_PRELOAD). CLOCK_FILE names a file of eight bytes: how far CLOCK_REALTIME is from
 * the machine's, in milliseconds, as a signed number in the machine's byte order. No other clock is changed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static const volatile int64_t *off_ms;

__attribute__((constructor)) static void begin(void) {
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *seen = mmap(NULL, sizeof *off_ms, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (seen != MAP_FAILED)
        off_ms = seen;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (!real_clock_gettime)
        real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock_gettime(clock, at);
    if (result == 0 && clock == CLOCK_REALTIME && off_ms) {
        int64_t off = *off_ms;
        at->tv_sec += off / 1000;
        at->tv_nsec += off % 1000 * 1000000;
        if (at->tv_nsec < 0) {
            at->tv_sec -= 1;
            at->tv_nsec += 1000000000;
        } else if (at->tv_nsec >= 1000000000) {
            at->tv_sec += 1;
            at->tv_nsec -= 1000000000;
        }
    }
    return result;
}
