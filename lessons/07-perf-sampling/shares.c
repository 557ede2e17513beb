// Uses the CPU in a known way. Says "ready", waits for a line, works for that many milliseconds of CPU time, prints what
// it measured in nanoseconds, then waits for another line, so that its functions can be looked up while it lives.
//   shares work MS     calls heavy and light, of nominal shares 3:1: prints the time of heavy, of light, of the process
//   shares thread MS   the same in a second thread
//   shares read MS     reads from the kernel: prints 0, 0, the time of the process

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned sink;
static long heavy_ns, light_ns, work_ns;

static long cpu(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

__attribute__((noinline)) static void burn(unsigned turns)
{
    volatile unsigned sum = 0; // on the stack: gcc leaves out the frame of a function that keeps nothing there

    while (turns--)
        sum += turns;
}

__attribute__((noinline)) static void heavy(unsigned turns)
{
    burn(3 * turns);
    sink++; // something left to do, or the call of burn would become a jump and this function no frame
}

__attribute__((noinline)) static void light(unsigned turns)
{
    burn(turns);
    sink++;
}

__attribute__((noinline)) static void *work(void *unused)
{
    unsigned random = 1;
    long a, b, c;

    while (heavy_ns + light_ns < work_ns) {
        // turns that vary, so that no rhythm of this program can march in step with the clock that samples it
        random = random * 1103515245 + 12345;
        unsigned turns = 100000 + (random >> 15);
        a = cpu(CLOCK_THREAD_CPUTIME_ID);
        heavy(turns);
        b = cpu(CLOCK_THREAD_CPUTIME_ID);
        light(turns);
        c = cpu(CLOCK_THREAD_CPUTIME_ID);
        heavy_ns += b - a;
        light_ns += c - b;
    }
    return NULL;
}

__attribute__((noinline)) static void ask(void)
{
    static char bytes[1 << 20];
    int zeros = open("/dev/zero", O_RDONLY);

    while (cpu(CLOCK_PROCESS_CPUTIME_ID) < work_ns)
        if (read(zeros, bytes, sizeof(bytes)) < 0)
            exit(1);
}

int main(int argc, char **argv)
{
    pthread_t thread;

    puts("ready");
    fflush(stdout);
    getchar();
    work_ns = atol(argv[2]) * 1000000L;
    if (strcmp(argv[1], "work") == 0)
        work(NULL);
    else if (strcmp(argv[1], "read") == 0)
        ask();
    else {
        pthread_create(&thread, NULL, work, NULL);
        pthread_join(thread, NULL);
    }
    printf("%ld %ld %ld\n", heavy_ns, light_ns, cpu(CLOCK_PROCESS_CPUTIME_ID));
    fflush(stdout);
    getchar();
    return 0;
}
