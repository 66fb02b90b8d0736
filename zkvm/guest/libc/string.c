/* String functions by words: a load costs the same for a word as for a byte. A string's last word is read whole; what is behind its end is
 * in the same word and so in memory. Pointers of unlike offsets are compared and copied by bytes: misaligned access is unprovable. */
#include <stdint.h>
#include <string.h>

#define WORD 4u
typedef uint32_t __attribute__((may_alias)) word;

static inline uint32_t offset_of(const void *pointer) {
    return (uint32_t)(uintptr_t)pointer % WORD;
}

/* Not zero if one of the bytes is. */
static inline uint32_t zero_in(uint32_t value) {
    return (value - 0x01010101u) & ~value & 0x80808080u;
}

int strcmp(const char *left, const char *right) {
    if (offset_of(left) == offset_of(right)) {
        for (; offset_of(left) != 0; left++, right++) {
            if (*left != *right || *left == 0) return (unsigned char)*left - (unsigned char)*right;
        }
        const word *a = (const word *)left, *b = (const word *)right;
        while (*a == *b && !zero_in(*a)) a++, b++;
        left = (const char *)a;
        right = (const char *)b;
    }
    for (; *left == *right && *left != 0; left++, right++) {}
    return (unsigned char)*left - (unsigned char)*right;
}

int strncmp(const char *left, const char *right, size_t length) {
    if (offset_of(left) == offset_of(right)) {
        for (; length != 0 && offset_of(left) != 0; left++, right++, length--) {
            if (*left != *right || *left == 0) return (unsigned char)*left - (unsigned char)*right;
        }
        const word *a = (const word *)left, *b = (const word *)right;
        for (; length >= WORD && *a == *b && !zero_in(*a); length -= WORD) a++, b++;
        left = (const char *)a;
        right = (const char *)b;
    }
    for (; length != 0 && *left == *right && *left != 0; left++, right++, length--) {}
    return length == 0 ? 0 : (unsigned char)*left - (unsigned char)*right;
}

char *__stpcpy(char *restrict target, const char *restrict source) {
    if (offset_of(target) == offset_of(source)) {
        for (; offset_of(source) != 0; source++, target++) {
            if ((*target = *source) == 0) return target;
        }
        word *to = (word *)target;
        const word *from = (const word *)source;
        while (!zero_in(*from)) *to++ = *from++;
        target = (char *)to;
        source = (const char *)from;
    }
    while ((*target = *source) != 0) target++, source++;
    return target;
}

char *stpcpy(char *restrict target, const char *restrict source) {
    return __stpcpy(target, source);
}

char *strcpy(char *restrict target, const char *restrict source) {
    __stpcpy(target, source);
    return target;
}

char *strcat(char *restrict target, const char *restrict source) {
    __stpcpy(target + strlen(target), source);
    return target;
}

char *__strchrnul(const char *text, int wanted) {
    char byte = (char)wanted;
    for (; offset_of(text) != 0; text++) {
        if (*text == byte || *text == 0) return (char *)text;
    }
    uint32_t bytes = (uint8_t)byte * 0x01010101u;
    const word *at = (const word *)text;
    while (!(zero_in(*at) | zero_in(*at ^ bytes))) at++;
    for (text = (const char *)at; *text != byte && *text != 0; text++) {}
    return (char *)text;
}

char *strchrnul(const char *text, int wanted) {
    return __strchrnul(text, wanted);
}

char *strchr(const char *text, int wanted) {
    char *found = __strchrnul(text, wanted);
    return *found == (char)wanted ? found : 0;
}

void *memchr(const void *memory, int wanted, size_t length) {
    const uint8_t *at = memory;
    uint8_t byte = (uint8_t)wanted;
    for (; length != 0 && offset_of(at) != 0; at++, length--) {
        if (*at == byte) return (void *)at;
    }
    uint32_t bytes = byte * 0x01010101u;
    for (; length >= WORD && !zero_in(*(const word *)at ^ bytes); length -= WORD) at += WORD;
    for (; length != 0; at++, length--) {
        if (*at == byte) return (void *)at;
    }
    return 0;
}

size_t strnlen(const char *text, size_t limit) {
    const char *end = memchr(text, 0, limit);
    return end ? (size_t)(end - text) : limit;
}
