/* Memory functions. A word access costs one instruction, a byte access too, so whatever can move words does; misaligned
 * access is unprovable, so words are used only where both pointers have the same offset. */
#include <zkvm.h>

#define WORD_MASK 3u

/* A word of whatever objects these are. As plain integers, stores of them would be no stores to pointers or floats for the compiler, which
 * sees both where calls of these functions are inlined. */
typedef uint32_t __attribute__((may_alias)) word_t;

static inline uint32_t offset_of(const void *pointer) {
    return (uint32_t)(uintptr_t)pointer & WORD_MASK;
}

void *memcpy(void *restrict target, const void *restrict source, size_t length) {
    uint8_t *to = target;
    const uint8_t *from = source;
    if (offset_of(to) == offset_of(from)) {
        while (length != 0 && offset_of(to) != 0) {
            *to++ = *from++;
            length--;
        }
        word_t *to_word = (word_t *)to;
        const word_t *from_word = (const word_t *)from;
        for (; length >= 32; length -= 32) {
            for (int i = 0; i < 8; i++) to_word[i] = from_word[i];
            to_word += 8;
            from_word += 8;
        }
        for (; length >= 4; length -= 4) *to_word++ = *from_word++;
        to = (uint8_t *)to_word;
        from = (const uint8_t *)from_word;
    } else if (length >= 16) {
        /* Unlike offsets: each word of the target is made of two of the source. */
        for (; offset_of(to) != 0; length--) *to++ = *from++;
        uint32_t shift = 8 * offset_of(from);
        const uint32_t *from_word = (const uint32_t *)(from - shift / 8);
        uint32_t *to_word = (uint32_t *)to;
#pragma clang loop unroll_count(4)
        for (uint32_t low = *from_word; length >= 4; length -= 4) {
            uint32_t high = *++from_word;
            *to_word++ = low >> shift | high << (32 - shift);
            low = high;
        }
        to = (uint8_t *)to_word;
        from = (const uint8_t *)from_word + shift / 8;
    }
    while (length-- != 0) *to++ = *from++;
    return target;
}

/* The compiler sees in loops what they do, and calls the function of that name; in the other functions of this file it knows better. */
__attribute__((no_builtin)) void *memmove(void *target, const void *source, size_t length) {
    uint8_t *to = target;
    const uint8_t *from = source;
    if ((uintptr_t)to - (uintptr_t)from >= length) return memcpy(target, source, length);
    /* The target begins inside the source: go down from the end. */
    to += length;
    from += length;
    if (offset_of(to) == offset_of(from)) {
        while (length != 0 && offset_of(to) != 0) {
            *--to = *--from;
            length--;
        }
        for (; length >= 4; length -= 4) {
            to -= 4;
            from -= 4;
            *(word_t *)to = *(const word_t *)from;
        }
    }
    while (length-- != 0) *--to = *--from;
    return target;
}

void *memset(void *target, int value, size_t length) {
    uint8_t *to = target;
    uint8_t byte = (uint8_t)value;
    while (length != 0 && offset_of(to) != 0) {
        *to++ = byte;
        length--;
    }
    uint32_t word = byte * 0x01010101u;
    word_t *to_word = (word_t *)to;
    for (; length >= 32; length -= 32) {
        for (int i = 0; i < 8; i++) to_word[i] = word;
        to_word += 8;
    }
    for (; length >= 4; length -= 4) *to_word++ = word;
    to = (uint8_t *)to_word;
    while (length-- != 0) *to++ = byte;
    return target;
}

int memcmp(const void *left, const void *right, size_t length) {
    const uint8_t *a = left;
    const uint8_t *b = right;
    if (offset_of(a) == 0 && offset_of(b) == 0) {
        while (length >= 4 && *(const word_t *)a == *(const word_t *)b) {
            a += 4;
            b += 4;
            length -= 4;
        }
    }
    for (; length != 0; length--, a++, b++) {
        if (*a != *b) return *a - *b;
    }
    return 0;
}

size_t strlen(const char *text) {
    const char *end = text;
    while (*end != 0) end++;
    return (size_t)(end - text);
}
