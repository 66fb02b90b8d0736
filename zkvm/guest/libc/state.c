/* What an operating system and start-up code would have set: the library's state as it is before main. */
#include "pthread_impl.h"
#include "libc.h"

struct __libc __libc = {.page_size = 4096};
size_t __hwcap;
char *__progname = "guest", *__progname_full = "guest";
weak_alias(__progname, program_invocation_short_name);
weak_alias(__progname_full, program_invocation_name);

struct pthread __zkvm_thread = {.self = &__zkvm_thread, .detach_state = DT_JOINABLE, .tid = 1, .locale = &__libc.global_locale};
