/* Atomic operations as the compiler calls them where a machine has no instructions for them. One thread, no interrupts: plain loads and
 * stores are all that is needed. */
#include <zkvm.h>

#define FETCH(bytes, type, name, result) \
    type __atomic_fetch_##name##_##bytes(type *place, type value, int order) { \
        (void)order; \
        type old = *place; \
        *place = (type)(result); \
        return old; \
    }

#define SIZE(bytes, type) \
    type __atomic_load_##bytes(const type *place, int order) { \
        (void)order; \
        return *place; \
    } \
    void __atomic_store_##bytes(type *place, type value, int order) { \
        (void)order; \
        *place = value; \
    } \
    int __atomic_compare_exchange_##bytes(type *place, type *expected, type value, int success, int failure) { \
        (void)success, (void)failure; \
        type old = *place; \
        int equal = old == *expected; \
        if (equal) *place = value; \
        else *expected = old; \
        return equal; \
    } \
    type __atomic_exchange_##bytes(type *place, type value, int order) { \
        (void)order; \
        type old = *place; \
        *place = value; \
        return old; \
    } \
    FETCH(bytes, type, add, old + value) \
    FETCH(bytes, type, sub, old - value) \
    FETCH(bytes, type, and, old & value) \
    FETCH(bytes, type, or, old | value) \
    FETCH(bytes, type, xor, old ^ value) \
    FETCH(bytes, type, nand, ~(old & value))

SIZE(1, uint8_t)
SIZE(2, uint16_t)
SIZE(4, uint32_t)
SIZE(8, uint64_t)

/* Of any size. The compiler has functions of these names itself, of another form. */
void load_any(size_t length, const void *place, void *result, int order) __asm__("__atomic_load");
void store_any(size_t length, void *place, const void *value, int order) __asm__("__atomic_store");
void exchange_any(size_t length, void *place, const void *value, void *result, int order) __asm__("__atomic_exchange");
int compare_exchange_any(size_t length, void *place, void *expected, const void *value, int success, int failure) __asm__(
    "__atomic_compare_exchange");

void load_any(size_t length, const void *place, void *result, int order) {
    (void)order;
    memcpy(result, place, length);
}

void store_any(size_t length, void *place, const void *value, int order) {
    (void)order;
    memcpy(place, value, length);
}

void exchange_any(size_t length, void *place, const void *value, void *result, int order) {
    (void)order;
    memcpy(result, place, length);
    memcpy(place, value, length);
}

int compare_exchange_any(size_t length, void *place, void *expected, const void *value, int success, int failure) {
    (void)success, (void)failure;
    int equal = memcmp(place, expected, length) == 0;
    memcpy(equal ? place : expected, equal ? value : place, length);
    return equal;
}
