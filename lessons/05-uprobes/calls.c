// Calls one function once for each NAME: `calls atoi NAME...` libc's atoi, `calls weigh NAME...` its own weigh.
// Says "ready", waits for a line, then prints what each call returned.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) int weigh(const char *name)
{
    return 3 - (int)strlen(name);
}

int main(int argc, char **argv)
{
    // volatile: the compiler must not put the function's body in place of the call
    int (*volatile function)(const char *) = strcmp(argv[1], "atoi") == 0 ? atoi : weigh;

    puts("ready");
    fflush(stdout);
    getchar();
    for (int i = 2; i < argc; i++)
        printf("%d\n", function(argv[i]));
    return 0;
}
