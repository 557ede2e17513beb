// senders PORT: two threads, thread i on CPU i, send datagrams to PORT of this machine, each pair at the same moment.
// Prints "ready"; for each line "FIRST PAIRS" that it reads, sends PAIRS pairs and prints "done".
// With FIRST >= 0 each pair has its own name, "nFIRST" and up, and is so the first packet of its name.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define SIZE 100
#define THREADS 2

static long first, pairs;
static atomic_long arrived;
static struct sockaddr_in to;

// Until both threads are at pair `turn`.
static void meet(long turn)
{
    atomic_fetch_add(&arrived, 1);
    for (long spins = 1; atomic_load(&arrived) < THREADS * (turn + 1); spins++)
        if (spins % 1024 == 0)
            sched_yield();
}

static void *work(void *cpu)
{
    static const char bytes[SIZE];
    int socket_of_mine = socket(AF_INET, SOCK_DGRAM, 0);
    char name[32]; // the kernel keeps 15
    cpu_set_t only;

    CPU_ZERO(&only);
    CPU_SET((long)cpu, &only);
    if (sched_setaffinity(0, sizeof(only), &only) || connect(socket_of_mine, (void *)&to, sizeof(to)))
        exit(2);
    for (long pair = 0; pair < pairs; pair++) {
        if (first >= 0) {
            snprintf(name, sizeof(name), "n%ld", first + pair);
            prctl(PR_SET_NAME, name);
        }
        meet(pair);
        if (send(socket_of_mine, bytes, SIZE, 0) != SIZE)
            exit(3);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];

    to.sin_family = AF_INET;
    to.sin_port = htons(atoi(argv[1]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    puts("ready");
    fflush(stdout);
    while (scanf("%ld %ld", &first, &pairs) == 2) {
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
