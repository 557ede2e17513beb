// Calls of libc's bsearch whose comparison takes its time; `search recursion`, `search threads` or `search inside`.
// Says "ready", waits for a line; for each call prints its key, the nanoseconds slept in it, and those measured around it.

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS 1000000L

static sem_t first_is_in, second_is_in, first_is_out;

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static void rest(long ns)
{
    struct timespec t = {.tv_nsec = ns};
    while (nanosleep(&t, &t))
        ;
}

static void search(const char *key, int (*compare)(const void *, const void *), long slept)
{
    // volatile: the compiler must not put the function's body in place of the call
    void *(*volatile function)(const void *, const void *, size_t, size_t, int (*)(const void *, const void *)) = bsearch;
    long begin = now();
    function(key, "", 1, 1, compare);
    printf("%s %ld %ld\n", key, slept, now() - begin);
}

// recursion: outer sleeps 7, calls inner (11), sleeps 7 more

static int inner(const void *key, const void *element)
{
    rest(11 * MS);
    return 0;
}

static int outer(const void *key, const void *element)
{
    rest(7 * MS);
    search("inner", inner, 11 * MS);
    rest(7 * MS);
    return 0;
}

// threads: the second begins while the first is inside, and ends after it

static int first(const void *key, const void *element)
{
    rest(23 * MS);
    sem_post(&first_is_in);
    sem_wait(&second_is_in);
    return 0;
}

static int second(const void *key, const void *element)
{
    sem_post(&second_is_in);
    sem_wait(&first_is_out);
    rest(13 * MS);
    return 0;
}

static void *other_thread(void *unused)
{
    sem_wait(&first_is_in);
    search("second", second, 13 * MS);
    return NULL;
}

// inside: three calls deep, says so, and waits for a second line

static int waits(const void *key, const void *element)
{
    puts("inside");
    fflush(stdout);
    getchar();
    return 0;
}

static int deeper(const void *key, const void *element)
{
    search("deepest", waits, 0);
    return 0;
}

static int deep(const void *key, const void *element)
{
    search("deeper", deeper, 0);
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    puts("ready");
    fflush(stdout);
    getchar();
    if (strcmp(argv[1], "recursion") == 0)
        search("outer", outer, 25 * MS);
    else if (strcmp(argv[1], "inside") == 0)
        search("deep", deep, 0);
    else {
        sem_init(&first_is_in, 0, 0);
        sem_init(&second_is_in, 0, 0);
        sem_init(&first_is_out, 0, 0);
        pthread_create(&thread, NULL, other_thread, NULL);
        search("first", first, 23 * MS);
        sem_post(&first_is_out);
        pthread_join(thread, NULL);
    }
    return 0;
}
