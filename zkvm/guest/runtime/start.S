# Entry point. The loader has set sp, 16-byte aligned, and zeroed .bss; what main returns is the exit code.
    .section .text.start, "ax", @progbits
    .globl _start
    .type _start, @function
_start:
    call main
    li a7, 93
    ecall
    .size _start, . - _start
