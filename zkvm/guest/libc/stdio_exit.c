/* Linked with whatever uses buffers of files; they are written at the end because of run.c. */
#include "stdio/__stdio_exit.c"

extern void (*const __zkvm_run)(void);
__attribute__((used)) static void (*const *const runs)(void) = &__zkvm_run;
