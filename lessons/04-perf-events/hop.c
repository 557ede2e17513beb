/* hop PROGRAM…: a process that becomes PROGRAM, which becomes the next one, and so on, changing the CPU each time.
 *
 * Each program, all of them links to this one, writes a dot when it has started; then it waits for a byte, or the end,
 * of standard input. It runs the next on CPU k modulo CPUS (an environment variable), where k programs are left.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    cpu_set_t one;
    char byte;

    if (write(1, ".", 1) != 1)
        return 1;
    if (argc == 1)
        return 0;
    if (read(0, &byte, 1) < 0)
        return 2;
    CPU_ZERO(&one);
    CPU_SET((argc - 1) % atoi(getenv("CPUS")), &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0)
        return 3;
    execv(argv[1], argv + 1);
    return 4;
}
