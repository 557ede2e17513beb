// faults: two threads, thread i on CPU i, touch fresh memory at the same place of the program, at the same moment.
// Prints "ready"; for each line "TIMES" that it reads, both threads do so that many times; prints "done".

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define THREADS 2
#define PAGE 4096

static long times;
static atomic_long arrived;

// Until both threads are at turn `turn`.
static void meet(long turn)
{
    atomic_fetch_add(&arrived, 1);
    for (long spins = 1; atomic_load(&arrived) < THREADS * (turn + 1); spins++)
        if (spins % 1024 == 0)
            sched_yield();
}

static void *work(void *cpu)
{
    cpu_set_t only;

    CPU_ZERO(&only);
    CPU_SET((long)cpu, &only);
    if (sched_setaffinity(0, sizeof(only), &only))
        exit(2);
    volatile char *fresh = mmap(NULL, times * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED || madvise((void *)fresh, times * PAGE, MADV_NOHUGEPAGE))
        exit(3);
    for (long turn = 0; turn < times; turn++) {
        meet(turn);
        fresh[turn * PAGE] = 1;
    }
    munmap((void *)fresh, times * PAGE);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];

    puts("ready");
    fflush(stdout);
    while (scanf("%ld", &times) == 1) {
        atomic_store(&arrived, 0);
        for (long cpu = 0; cpu < THREADS; cpu++)
            pthread_create(&threads[cpu], NULL, work, (void *)cpu);
        for (long cpu = 0; cpu < THREADS; cpu++)
            pthread_join(threads[cpu], NULL);
        puts("done");
        fflush(stdout);
    }
    return 0;
}
