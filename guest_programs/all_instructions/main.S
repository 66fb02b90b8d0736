# Executes every RV32IM instruction but ebreak, compares each result with the value that the RISC-V specification gives, and
# commits a checksum of all results. A wrong result ends the run with the number of the failed check as exit code.
# s0: checksum, s1: number of the current check.

    .option norelax

# Compares \register with \expected and folds it into the checksum: s0 = 31 s0 + result.
.macro expect register, expected
    addi s1, s1, 1
    li t5, \expected
    bne \register, t5, fail
    slli t6, s0, 5
    sub t6, t6, s0
    add s0, t6, \register
.endm

# Two registers in, one out.
.macro check op, left, right, expected
    li a0, \left
    li a1, \right
    \op a2, a0, a1
    expect a2, \expected
.endm

# A register and an immediate in, a register out.
.macro check_immediate op, left, immediate, expected
    li a0, \left
    \op a2, a0, \immediate
    expect a2, \expected
.endm

# A branch: \expected is 1 if it must be taken.
.macro check_branch op, left, right, expected
    li a0, \left
    li a1, \right
    li a2, 1
    \op a0, a1, 1f
    li a2, 0
1:
    expect a2, \expected
.endm

    .text
    .globl main
    .type main, @function
main:
    addi sp, sp, -16
    sw ra, 12(sp)
    li s0, 0
    li s1, 0
    fence rw, rw

    check add, 0x7fffffff, 1, 0x80000000
    check add, -1, -1, -2
    check sub, 0, 1, -1
    check sub, 0x80000000, 1, 0x7fffffff
    check sll, 1, 31, 0x80000000
    check sll, 0x12345678, 36, 0x23456780
    check srl, 0x80000000, 31, 1
    check srl, -1, 32, -1
    check sra, 0x80000000, 31, -1
    check sra, 0x7fffffff, 4, 0x07ffffff
    check slt, -1, 0, 1
    check slt, 0x7fffffff, 0x80000000, 0
    check sltu, -1, 0, 0
    check sltu, 0, -1, 1
    check xor, 0xff00ff00, 0x0ff00ff0, 0xf0f0f0f0
    check or, 0xff00ff00, 0x0ff00ff0, 0xfff0fff0
    check and, 0xff00ff00, 0x0ff00ff0, 0x0f000f00

    check_immediate addi, 0x7fffffff, 2047, 0x800007fe
    check_immediate addi, 0, -2048, -2048
    check_immediate slti, -5, -4, 1
    check_immediate slti, 5, -4, 0
    check_immediate sltiu, 5, -1, 1
    check_immediate sltiu, 0, 0, 0
    check_immediate xori, 0x12345678, -1, 0xedcba987
    check_immediate ori, 0x12345678, 0x0f0, 0x123456f8
    check_immediate andi, 0x12345678, -16, 0x12345670
    check_immediate slli, 0x12345678, 0, 0x12345678
    check_immediate slli, 0x12345678, 20, 0x67800000
    check_immediate srli, 0x87654321, 28, 8
    check_immediate srli, 0x87654321, 0, 0x87654321
    check_immediate srai, 0x87654321, 28, -8
    check_immediate srai, 0x87654321, 31, -1

    check mul, 0x12345678, 0x9abcdef0, 0x242d2080
    check mul, -1, -1, 1
    check mulh, 0x80000000, 0x80000000, 0x40000000
    check mulh, -1, 1, -1
    check mulhsu, -1, -1, -1
    check mulhsu, 0x80000000, 0x80000000, 0xc0000000
    check mulhu, -1, -1, -2
    check mulhu, 0x12345678, 0x9abcdef0, 0x0b00ea4e
    check div, -7, 2, -3
    check div, 7, 0, -1
    check div, 0x80000000, -1, 0x80000000
    check divu, -7, 2, 0x7ffffffc
    check divu, 7, 0, -1
    check rem, -7, 2, -1
    check rem, 7, 0, 7
    check rem, 0x80000000, -1, 0
    check remu, -7, 16, 9
    check remu, 7, 0, 7

    check_branch beq, 5, 5, 1
    check_branch beq, 5, 6, 0
    check_branch bne, 5, 6, 1
    check_branch bne, 5, 5, 0
    check_branch blt, -1, 0, 1
    check_branch blt, 0, -1, 0
    check_branch bge, 0, 0, 1
    check_branch bge, -1, 0, 0
    check_branch bltu, 0, -1, 1
    check_branch bltu, -1, 0, 0
    check_branch bgeu, -1, 0, 1
    check_branch bgeu, 0, -1, 0

    # Upper immediates and jumps.
    lui a2, 0xfedcb
    expect a2, 0xfedcb000
1:  auipc a2, 0x12345
    la a0, 1b
    sub a2, a2, a0
    expect a2, 0x12345000
2:  jal a2, 3f
    j fail
3:  la a0, 2b
    sub a2, a2, a0
    expect a2, 4
    la a0, 5f + 3                   # jalr clears the lowest bit: 5f + 3 - 2 = 5f + 1 -> 5f
4:  jalr a2, -2(a0)
    j fail
5:  la a0, 4b
    sub a2, a2, a0
    expect a2, 4
    li x0, 5                        # writes to x0 are lost
    expect x0, 0

    # Stores of every size to every place in a word, loads of every size with and without sign.
    la s2, scratch
    li a0, 0x8091a2b3
    sw a0, 0(s2)
    sw a0, 4(s2)
    li a1, 0xc4
    sb a1, 5(s2)
    li a1, 0x1d5e
    sh a1, 2(s2)
    sb a1, 0(s2)
    sb a1, 7(s2)
    lw a2, 0(s2)
    expect a2, 0x1d5ea25e
    lw a2, 4(s2)
    expect a2, 0x5e91c4b3
    lb a2, 1(s2)
    expect a2, 0xffffffa2
    lbu a2, 1(s2)
    expect a2, 0xa2
    lb a2, 3(s2)
    expect a2, 0x1d
    lh a2, 4(s2)
    expect a2, 0xffffc4b3
    lhu a2, 4(s2)
    expect a2, 0xc4b3
    lhu a2, 6(s2)
    expect a2, 0x5e91
    lbu a2, 6(s2)
    expect a2, 0x91

    # The same loads from constants, which are another kind of memory.
    la s3, constants
    lw a2, 0(s3)
    expect a2, 0x8091a2b3
    lb a2, 3(s3)
    expect a2, 0xffffff80
    lbu a2, 2(s3)
    expect a2, 0x91
    lh a2, 0(s3)
    expect a2, 0xffffa2b3
    lhu a2, 2(s3)
    expect a2, 0x8091

    # Initialised data is read and changed.
    la s3, counter
    lw a2, 0(s3)
    expect a2, 41
    addi a2, a2, 1
    sw a2, 0(s3)
    lw a2, 0(s3)
    expect a2, 42

    # Unknown calls and file descriptors return a Linux error number.
    li a7, 4000
    ecall
    expect a0, -38
    li a7, 64
    li a0, 9
    li a1, 0
    li a2, 0
    ecall
    expect a0, -9

    # Commit the checksum, return 0.
    la a1, scratch
    sw s0, 0(a1)
    li a0, 3
    li a2, 4
    li a7, 64
    ecall
    expect a0, 4
    li a0, 0
    lw ra, 12(sp)
    addi sp, sp, 16
    ret

fail:
    mv a0, s1
    li a7, 94
    ecall
    .size main, . - main

    .section .rodata, "a", @progbits
    .balign 4
constants:
    .word 0x8091a2b3

    .data
    .balign 4
counter:
    .word 41

    .bss
    .balign 4
scratch:
    .space 8
