# The last constructor, where there are others: they leave anything in the registers that main takes its arguments from. Without
# constructors both are zero as the run begins with.
    .text
    .type no_arguments, @function
no_arguments:
    li a0, 0
    addi a1, sp, 4
    ret
    .size no_arguments, . - no_arguments

    .section .libc_main, "a", @progbits
    .word no_arguments
