// busy THREADS CALLS [FIRST STEP]: prints the number of getppid, waits for a byte on standard input, then calls getppid
// from THREADS threads, thread i on CPU i: CALLS times each, or (CALLS = 0) until standard input is closed. Prints the sum.
// With FIRST, prints that number instead, and calls it; with a STEP that is not 0 each call's number is higher by STEP than
// that of the one before, and all threads make it at the same moment.

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 64

static long calls, threads, first, step;
static atomic_bool stop;
static atomic_long arrived;
static pthread_barrier_t start;

// Until every thread is at its call `turn`.
static void meet(long turn)
{
    atomic_fetch_add(&arrived, 1);
    for (long spins = 1; atomic_load(&arrived) < threads * (turn + 1); spins++)
        if (spins % 1024 == 0)
            sched_yield();
}

static void *work(void *cpu)
{
    cpu_set_t only;
    long done = 0;

    CPU_ZERO(&only);
    CPU_SET((long)cpu, &only);
    if (sched_setaffinity(0, sizeof(only), &only))
        exit(2);
    pthread_barrier_wait(&start);
    while (calls ? done < calls : !atomic_load(&stop)) {
        if (step)
            meet(done);
        syscall(first ? first + done * step : SYS_getppid);
        done++;
    }
    return (void *)done;
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS_MAX];
    long sum = 0;
    void *done;
    char byte;

    if ((argc != 3 && argc != 5) || (threads = atol(argv[1])) < 1 || threads > THREADS_MAX)
        return 2;
    calls = atol(argv[2]);
    if (argc == 5) {
        first = atol(argv[3]);
        step = atol(argv[4]);
    }
    pthread_barrier_init(&start, NULL, threads);
    printf("%ld\n", first ? first : (long)SYS_getppid);
    fflush(stdout);
    if (read(0, &byte, 1) != 1)
        return 1;
    for (long i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, work, (void *)i);
    if (!calls) {
        while (read(0, &byte, 1) > 0)
            ;
        atomic_store(&stop, 1);
    }
    for (long i = 0; i < threads; i++) {
        pthread_join(thread[i], &done);
        sum += (long)done;
    }
    printf("%ld\n", sum);
    return 0;
}
