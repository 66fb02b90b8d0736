/* Unpacks raw DEFLATE data (RFC 1951) from standard input to the journal. Exit code 1: the data are damaged. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zkvm.h>

enum { LENGTHS = 288, DISTANCES = 30, LONGEST = 15 };

struct code {
    uint16_t count[LONGEST + 1], symbol[LENGTHS];
};

static uint8_t *packed, *unpacked;
static size_t packed_size, at, unpacked_size, room;
static uint32_t bits, bit_count;

static void damaged(const char *what) {
    fprintf(stderr, "damaged at byte %zu: %s\n", at, what);
    exit(1);
}

static uint32_t take(uint32_t count) {
    while (bit_count < count) {
        if (at == packed_size) damaged("the data end early");
        bits |= (uint32_t)packed[at++] << bit_count;
        bit_count += 8;
    }
    uint32_t value = bits & ((1u << count) - 1);
    bits >>= count;
    bit_count -= count;
    return value;
}

static void put(uint8_t byte) {
    if (unpacked_size == room) unpacked = realloc(unpacked, room = 2 * room + 64);
    unpacked[unpacked_size++] = byte;
}

static void make(struct code *code, const uint8_t *lengths, int count) {
    uint16_t next[LONGEST + 1] = {0};
    memset(code->count, 0, sizeof code->count);
    for (int i = 0; i < count; i++) code->count[lengths[i]]++;
    code->count[0] = 0;
    for (int i = 1; i < LONGEST; i++) next[i + 1] = next[i] + code->count[i];
    for (int i = 0; i < count; i++) {
        if (lengths[i]) code->symbol[next[lengths[i]]++] = (uint16_t)i;
    }
}

static int decode(const struct code *code) {
    int value = 0, first = 0, index = 0;
    for (int length = 1; length <= LONGEST; length++) {
        value |= (int)take(1);
        int count = code->count[length];
        if (value - count < first) return code->symbol[index + value - first];
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    damaged("no such code");
    return -1;
}

static void block(const struct code *lengths, const struct code *distances) {
    static const uint16_t base[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint16_t far[] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769,
                                   1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    for (;;) {
        int symbol = decode(lengths);
        if (symbol == 256) return;
        if (symbol < 256) {
            put((uint8_t)symbol);
            continue;
        }
        int place = symbol - 257;
        if (place >= 29) damaged("no such length");
        uint32_t length = base[place] + take(place < 8 || place == 28 ? 0 : (uint32_t)(place - 4) / 4);
        int back = decode(distances);
        if (back >= DISTANCES) damaged("no such distance");
        uint32_t distance = far[back] + take(back < 4 ? 0 : (uint32_t)(back - 2) / 2);
        if (distance > unpacked_size) damaged("a distance before the beginning");
        while (length-- != 0) put(unpacked[unpacked_size - distance]);
    }
}

static void stored(void) {
    bits = bit_count = 0;
    if (packed_size - at < 4) damaged("the data end early");
    uint32_t length = packed[at] | packed[at + 1] << 8;
    at += 4;
    if (packed_size - at < length) damaged("the data end early");
    while (length-- != 0) put(packed[at++]);
}

static void read_codes(struct code *lengths, struct code *distances) {
    static const uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t all[LENGTHS + 32] = {0};
    int length_count = (int)take(5) + 257, distance_count = (int)take(5) + 1, order_count = (int)take(4) + 4;
    for (int i = 0; i < order_count; i++) all[order[i]] = (uint8_t)take(3);
    make(lengths, all, 19);
    memset(all, 0, sizeof all);
    for (int i = 0; i < length_count + distance_count;) {
        int symbol = decode(lengths);
        if (symbol < 16) {
            all[i++] = (uint8_t)symbol;
            continue;
        }
        if (symbol == 16 && i == 0) damaged("nothing to repeat");
        uint8_t value = symbol == 16 ? all[i - 1] : 0;
        int repeat = symbol == 16 ? 3 + (int)take(2) : symbol == 17 ? 3 + (int)take(3) : 11 + (int)take(7);
        if (i + repeat > length_count + distance_count) damaged("too many lengths");
        while (repeat-- != 0) all[i++] = value;
    }
    make(lengths, all, length_count);
    make(distances, all + length_count, distance_count);
}

int main(void) {
    static struct code lengths, distances;
    uint8_t fixed[LENGTHS], piece[1000];
    for (size_t count; (count = fread(piece, 1, sizeof piece, stdin)) != 0; packed_size += count) {
        packed = realloc(packed, packed_size + count);
        memcpy(packed + packed_size, piece, count);
    }
    for (uint32_t last = 0; !last;) {
        last = take(1);
        uint32_t kind = take(2);
        if (kind == 0) {
            stored();
            continue;
        }
        if (kind == 1) {
            for (int i = 0; i < LENGTHS; i++) fixed[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
            make(&lengths, fixed, LENGTHS);
            memset(fixed, 5, DISTANCES);
            make(&distances, fixed, DISTANCES);
        } else if (kind == 2) {
            read_codes(&lengths, &distances);
        } else {
            damaged("no such block");
        }
        block(&lengths, &distances);
    }
    zkvm_commit(unpacked, unpacked_size);
    return 0;
}
