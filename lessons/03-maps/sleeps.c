// sleeps NS...: prints the number of clock_nanosleep, waits for a byte on standard input, then sleeps NS nanoseconds for
// each argument, and prints for each how long the call took, measured around it.

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
    char byte;

    printf("%d\n", SYS_clock_nanosleep);
    fflush(stdout);
    if (read(0, &byte, 1) != 1)
        return 1;
    for (int i = 1; i < argc; i++) {
        struct timespec span = {.tv_nsec = atol(argv[i])};
        long long begin = now();

        if (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &span, NULL))
            return 1;
        printf("%lld\n", now() - begin);
    }
    return 0;
}
