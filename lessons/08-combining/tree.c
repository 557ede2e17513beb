// A process that grows a tree on command: a letter on standard input, an answer in a line on standard output.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 23

static int wake[2]; // one byte ends one waiting thread

static void answer(long number)
{
    char line[32];
    int size = snprintf(line, sizeof(line), "%ld\n", number);

    if (write(1, line, size) != size)
        _exit(1);
}

static void *wait_for_a_byte(void *unused)
{
    char byte;

    (void)unused;
    if (read(wake[0], &byte, 1) != 1)
        _exit(1);
    return NULL;
}

static void *sleep_inside(void *unused)
{
    (void)unused;
    usleep(900 * 1000 * 1000);
    return NULL;
}

static void end_this_thread(int unused)
{
    (void)unused;
    syscall(SYS_exit, 0);
}

// Ends with its maker, also if that has ended by now.
static void end_with(pid_t maker)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != maker)
        _exit(0);
}

static pid_t child(void)
{
    pid_t maker = getpid(), pid = fork();

    if (pid == 0)
        end_with(maker);
    return pid;
}

static void *child_of_a_thread(void *unused)
{
    pid_t pid = child();

    (void)unused;
    if (pid)
        answer(pid);
    for (;;)
        pause();
    return NULL;
}

static void open_and_call(const char *path)
{
    for (int i = 0; i < CALLS; i++) {
        int fd = open(path, O_RDONLY);

        if (fd >= 0)
            close(fd);
        usleep(1);
    }
}

int main(int argc, char **argv)
{
    pthread_t thread;
    pid_t pid;
    char letter, number[16];

    if (pipe(wake) != 0 || signal(SIGUSR1, end_this_thread) == SIG_ERR)
        return 1;
    if (argc > 2) {
        end_with(atoi(argv[2]));
        for (;;)
            pause();
    }
    if (argc > 1)
        answer(getpid()); // after an exec of itself
    while (read(0, &letter, 1) == 1) {
        switch (letter) {
        case '?': // it is there
            answer(getpid());
            break;
        case 'f': // a child that waits
            pid = child();
            if (pid == 0)
                for (;;)
                    pause();
            answer(pid);
            break;
        case 'b': // the same, from a thread that waits
            if (pthread_create(&thread, NULL, child_of_a_thread, NULL))
                return 1;
            break;
        case 'g': // a child that has a child
            pid = child();
            if (pid == 0) {
                pid_t grandchild = child();

                if (grandchild)
                    answer(grandchild);
                for (;;)
                    pause();
            }
            answer(pid);
            break;
        case 'o': // a child that makes CALLS opens and calls of usleep, and ends
            pid = child();
            if (pid == 0) {
                open_and_call("/dev/null");
                _exit(0);
            }
            waitpid(pid, NULL, 0);
            answer(pid);
            break;
        case 'c': // the same, itself
            open_and_call("/dev/null");
            answer(CALLS);
            break;
        case 'v': // a child that has its maker's memory until it becomes another program: it waits
            snprintf(number, sizeof(number), "%d", getpid());
            if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, (char *[]){argv[0], "wait", number, NULL}, environ))
                return 1;
            answer(pid);
            break;
        case 'n': // takes another name
            answer(prctl(PR_SET_NAME, "renamed"));
            break;
        case 'u': // a child that is inside usleep
            pid = child();
            if (pid == 0) {
                usleep(900 * 1000 * 1000);
                _exit(0);
            }
            answer(pid);
            break;
        case 'p': // a child that waits inside open, for the other end of the pipe /tmp/tree-pipe
            pid = child();
            if (pid == 0) {
                open("/tmp/tree-pipe", O_RDONLY);
                _exit(0);
            }
            answer(pid);
            break;
        case 'd': // a thread that is inside usleep
            answer(pthread_create(&thread, NULL, sleep_inside, NULL));
            break;
        case 'k': // ends that thread there
            answer(pthread_kill(thread, SIGUSR1));
            break;
        case 't': // a thread that waits
            answer(pthread_create(&thread, NULL, wait_for_a_byte, NULL));
            break;
        case 'j': // ends that thread
            if (write(wake[1], "!", 1) != 1)
                return 1;
            pthread_join(thread, NULL);
            answer(0);
            break;
        case 'e': // becomes this program once more
            execl("/proc/self/exe", argv[0], "again", NULL);
            return 1;
        case 'l': // the first thread ends, the other one goes on until it is killed
            pthread_exit(NULL);
        }
    }
    return 0;
}
