/* malloc: lists of free blocks by size. A block is taken from its size's list, else from fresh memory, which grows in large steps; a
 * freed one goes back onto its list. Neighbours are joined only when memory runs out. So malloc and free are some twenty
 * instructions each, memory that was in use is used again, and calloc need not clear what is fresh.
 *
 * Every block begins with one word, its size in bytes (a multiple of 16, the word included) and whether it is in use; the words
 * lie 4 bytes below multiples of 16, blocks without gaps. Where somebody else (zkvm_allocate) took memory in between, a
 * block that is in use for ever covers it. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zkvm.h>

#define UNIT 16u
#define WORD 4u
#define IN_USE 1u
#define STEP (1u << 20)
#define TRIES 8 /* how many blocks of a list are looked at */
#define LARGEST 0x70000000u
#define SMALL_SIZES 64u /* 16, 32, ... 1024: a list each; above, four lists for each power of two */
#define LISTS (SMALL_SIZES + 4 * 21)

struct block {
    uint32_t size; /* | IN_USE */
    struct block *next; /* while it is free */
};

static struct block *lists[LISTS];
static char *first, *fresh, *end; /* blocks so far: [first, fresh); memory that this file has: [first, end) */

static struct block *block_of(void *pointer) {
    return (struct block *)((char *)pointer - WORD);
}

static void *pointer_of(struct block *block) {
    return (char *)block + WORD;
}

/* The list whose smallest size is the largest that is not above `size`. */
static uint32_t list_below(uint32_t size) {
    if (size <= SMALL_SIZES * UNIT) return size / UNIT - 1;
    uint32_t power = 31 - (uint32_t)__builtin_clz(size);
    return SMALL_SIZES + 4 * (power - 10) + (size >> (power - 2)) - 5;
}

/* The size of the block for `length` bytes; 0 if there is none. */
static uint32_t size_for(size_t length) {
    return length > LARGEST ? 0 : ((uint32_t)length + WORD + UNIT - 1) & ~(UNIT - 1);
}

static void put(struct block *block, uint32_t size) {
    struct block **list = &lists[list_below(size)];
    block->size = size;
    block->next = *list;
    *list = block;
}

/* Extends the memory behind `fresh` to `size` bytes at least; whether it could. */
static int grow(uint32_t size) {
    char *start = (char *)(uintptr_t)zkvm_syscall(ZKVM_SYS_BRK, 0, 0, 0);
    if (start != end) { /* the first time, or somebody else took memory: go on behind it */
        char *next = (char *)(((uintptr_t)start + WORD + UNIT - 1) & ~(uintptr_t)(UNIT - 1)) - WORD;
        if ((uint32_t)zkvm_syscall(ZKVM_SYS_BRK, (uint32_t)(uintptr_t)next, 0, 0) != (uintptr_t)next) return 0;
        if (first == 0) {
            first = next;
        } else {
            uint32_t rest = (uint32_t)(end - fresh) - UNIT;
            if (rest != 0) put((struct block *)fresh, rest);
            struct block *gap = (struct block *)(fresh + rest);
            gap->size = (uint32_t)(next - (char *)gap) | IN_USE;
        }
        fresh = end = next;
    }
    /* A unit stays free at the end, for the block that may have to cover a gap. */
    uint32_t missing = size + UNIT - (uint32_t)(end - fresh);
    for (uint32_t step = missing > STEP ? missing : STEP;; step = missing) {
        uint32_t wanted = (uint32_t)(uintptr_t)end + step;
        if (wanted > (uint32_t)(uintptr_t)end && (uint32_t)zkvm_syscall(ZKVM_SYS_BRK, wanted, 0, 0) == wanted) {
            end += step;
            return 1;
        }
        if (step == missing) return 0;
    }
}

/* Joins free neighbours, all over the heap. */
static void join(void) {
    memset(lists, 0, sizeof lists);
    for (char *at = first; at < fresh;) {
        struct block *block = (struct block *)at;
        uint32_t size = block->size & ~IN_USE;
        if (block->size & IN_USE) {
            at += size;
            continue;
        }
        while (at + size < fresh && !(((struct block *)(at + size))->size & IN_USE)) size += ((struct block *)(at + size))->size;
        put(block, size);
        at += size;
    }
}

/* A free block of `size` bytes or a bit more: one of the first of its own list, or any of the next; 0 if there is none. */
static struct block *find(uint32_t size) {
    uint32_t list = list_below(size);
    struct block **place = &lists[list];
    for (int tries = 0; tries < TRIES && *place != 0; tries++, place = &(*place)->next) {
        struct block *block = *place;
        if (block->size < size) continue;
        *place = block->next;
        return block;
    }
    if (size <= SMALL_SIZES * UNIT || list + 1 == LISTS || lists[list + 1] == 0) return 0;
    struct block *block = lists[list + 1];
    lists[list + 1] = block->next;
    return block;
}

/* The same when memory has run out: of any list; what the block has too much goes back. */
static struct block *find_any(uint32_t size) {
    join();
    for (uint32_t list = list_below(size); list < LISTS; list++) {
        for (struct block **place = &lists[list]; *place != 0; place = &(*place)->next) {
            struct block *block = *place;
            if (block->size < size) continue;
            *place = block->next;
            if (block->size != size) put((struct block *)((char *)block + size), block->size - size);
            block->size = size;
            return block;
        }
    }
    return 0;
}

/* A block of `size` bytes, in use; 0 if memory ran out. `was_used`: whether its bytes may differ from zero. */
static struct block *take(uint32_t size, int *was_used) {
    struct block *block = find(size);
    *was_used = 1;
    if (block == 0 && ((uint32_t)(end - fresh) >= size + UNIT || grow(size))) {
        *was_used = 0;
        block = (struct block *)fresh;
        block->size = size;
        fresh += size;
    }
    if (block == 0 && first != 0) block = find_any(size);
    if (block != 0) block->size |= IN_USE;
    return block;
}

__attribute__((noinline)) static void *allocate(size_t length, int *was_used) {
    uint32_t size = size_for(length);
    struct block *block = size != 0 ? take(size, was_used) : 0;
    if (block == 0) {
        errno = ENOMEM;
        return 0;
    }
    return pointer_of(block);
}

__attribute__((noinline)) static void *allocate_any(size_t length) {
    int was_used;
    return allocate(length, &was_used);
}

void *malloc(size_t length) {
    /* The common case, in few instructions: a small block that was in use before. */
    if (length <= SMALL_SIZES * UNIT - UNIT) {
        struct block **list = &lists[(length + WORD - 1) / UNIT];
        struct block *block = *list;
        if (block != 0) {
            *list = block->next;
            block->size |= IN_USE;
            return pointer_of(block);
        }
    }
    return allocate_any(length);
}

void *calloc(size_t count, size_t length) {
    int was_used;
    size_t total;
    if (__builtin_mul_overflow(count, length, &total)) total = SIZE_MAX;
    void *pointer = allocate(total, &was_used);
    return pointer && was_used ? memset(pointer, 0, total) : pointer;
}

void free(void *pointer) {
    if (pointer == 0) return;
    struct block *block = block_of(pointer);
    if (!(block->size & IN_USE)) zkvm_panic("free: this block is free already");
    put(block, block->size & ~IN_USE);
}

size_t malloc_usable_size(void *pointer) {
    return pointer ? (block_of(pointer)->size & ~IN_USE) - WORD : 0;
}

void *realloc(void *pointer, size_t length) {
    if (pointer == 0) return malloc(length);
    struct block *block = block_of(pointer);
    uint32_t size = size_for(length), old = block->size & ~IN_USE;
    if (size != 0 && size <= old) return pointer;
    if (size != 0 && (char *)block + old == fresh && ((uint32_t)(end - fresh) >= size - old + UNIT || grow(size - old))) {
        if ((char *)block + old == fresh) { /* the last block, and nobody took memory behind it */
            fresh = (char *)block + size;
            block->size = size | IN_USE;
            return pointer;
        }
    }
    void *moved = malloc(length);
    if (moved == 0) return 0;
    memcpy(moved, pointer, old - WORD);
    free(pointer);
    return moved;
}

void *reallocarray(void *pointer, size_t count, size_t length) {
    size_t total;
    return realloc(pointer, __builtin_mul_overflow(count, length, &total) ? SIZE_MAX : total);
}

void *aligned_alloc(size_t alignment, size_t length) {
    if (alignment <= UNIT) return malloc(length);
    if ((alignment & (alignment - 1)) != 0 || length > LARGEST - alignment) {
        errno = (alignment & (alignment - 1)) != 0 ? EINVAL : ENOMEM;
        return 0;
    }
    char *pointer = malloc(length + alignment);
    if (pointer == 0) return 0;
    uint32_t skipped = -(uint32_t)(uintptr_t)pointer & (uint32_t)(alignment - 1);
    if (skipped == 0) return pointer;
    struct block *block = block_of(pointer), *aligned = (struct block *)((char *)block + skipped);
    aligned->size = block->size - skipped; /* with IN_USE */
    put(block, skipped);
    return pointer_of(aligned);
}

void *memalign(size_t alignment, size_t length) {
    return aligned_alloc(alignment, length);
}

int posix_memalign(void **place, size_t alignment, size_t length) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    int before = errno;
    void *pointer = aligned_alloc(alignment, length);
    errno = before;
    if (pointer == 0) return ENOMEM;
    *place = pointer;
    return 0;
}
