// faults: two threads, thread i on CPU i, touch fresh memory at the same place of the program, as fast as they can.
// Prints "ready"; for each line "TIMES" that it reads, both threads do so that many times; prints "done".

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define THREADS 2
#define PAGE 4096

static long times;

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
    for (long turn = 0; turn < times; turn++)
        (void)fresh[turn * PAGE]; // a read: the kernel maps its page of zeros, which is the shortest fault there is
    munmap((void *)fresh, times * PAGE);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];

    puts("ready");
    fflush(stdout);
    while (scanf("%ld", &times) == 1) {
        for (long cpu = 0; cpu < THREADS; cpu++)
            pthread_create(&threads[cpu], NULL, work, (void *)cpu);
        for (long cpu = 0; cpu < THREADS; cpu++)
            pthread_join(threads[cpu], NULL);
        puts("done");
        fflush(stdout);
    }
    return 0;
}
