/* Loaded before the C library: each sync of a file takes longer, as on a disk that has no cache of its own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void delay(void) {
    const char *asked = getenv("SLOW_SYNC");
    long microseconds = asked ? atol(asked) : 0;
    struct timespec left = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&left, NULL);
}

#define SLOW(name)                                              \
    int name(int file) {                                        \
        static int (*sync)(int);                                \
        if (!sync) sync = (int (*)(int))dlsym(RTLD_NEXT, #name); \
        delay();                                                \
        return sync(file);                                      \
    }
SLOW(fsync)
SLOW(fdatasync)
