# Entry point. The loader has set sp, 16-byte aligned, and zeroed .bss. Constructors run first, in the order of the linker script's
# table; what main returns is the exit code. Destructors of objects at file scope do not run.
    .section .text.start, "ax", @progbits
    .globl _start
    .type _start, @function
_start:
    la s0, __constructors
    la s1, __constructors_end
    beq s0, s1, 2f
1:
    lw t0, 0(s0)
    addi s0, s0, 4
    jalr t0
    bne s0, s1, 1b
2:
    call main
    li a7, 93
    ecall
    .size _start, . - _start
