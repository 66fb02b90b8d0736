/* Linked with whatever registers functions; they are called at the end because of run.c. */
#include "exit/atexit.c"

extern void (*const __zkvm_run)(void);
__attribute__((used)) static void (*const *const runs)(void) = &__zkvm_run;
