# The thread pointer: the variables of the only thread lie where the linker put them, so its block is not copied. Linked only into
# programs with such variables; called before all constructors.
    .text
    .type set_thread_pointer, @function
set_thread_pointer:
    lla tp, __thread_block
    ret
    .size set_thread_pointer, . - set_thread_pointer

    .section .thread_pointer, "a", @progbits
    .word set_thread_pointer

# Nothing, but in the file: of zeros alone the linker would make a section that takes no addresses, and put .data into the same place.
    .section .tdata.begin, "awT", @progbits
