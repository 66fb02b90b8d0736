/* Between the constructors and main: for programs with something to do after main, which is to write what is still in the buffers of
 * files, or what they registered with atexit. Only then is this file linked; else the start-up code calls main itself. */
#include <stdlib.h>

int main(int, char **);

static void run(void) {
    static char *arguments[2]; /* argv and envp, both empty */
    exit(main(0, arguments));
}

/* The linker script puts it behind the last constructor. */
__attribute__((used, section(".libc_main"))) void (*const __zkvm_run)(void) = run;
