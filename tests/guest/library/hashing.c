/* SHA-256 and CRC-32 of standard input, as a line of text in the journal. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint32_t constants[64], table[256];

/* SHA-256's constants are the first 32 bits of the fractional parts of primes' cube roots. */
static void prepare(void) {
    for (uint32_t prime = 2, count = 0; count < 64; prime++) {
        int divided = 0;
        for (uint32_t d = 2; d * d <= prime; d++) divided |= prime % d == 0;
        if (divided) continue;
        long double root = cbrtl(prime);
        constants[count++] = (uint32_t)ldexpl(root - floorl(root), 32);
    }
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
        table[i] = value;
    }
}

static uint32_t rotated(uint32_t x, int by) {
    return x >> by | x << (32 - by);
}

static void compress(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (rotated(a, 7) ^ rotated(a, 18) ^ a >> 3) + (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t one = s[7] + (rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + w[i];
        uint32_t two = (rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

int main(void) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t block[64];
    uint32_t crc = 0xFFFFFFFF;
    uint64_t total = 0;
    size_t used = 0;
    prepare();
    for (int byte; (byte = getchar()) != EOF; total++) {
        crc = crc >> 8 ^ table[(crc ^ (uint32_t)byte) & 255];
        block[used++] = (uint8_t)byte;
        if (used == 64) compress(state, block), used = 0;
    }
    block[used++] = 0x80;
    if (used > 56) {
        memset(block + used, 0, 64 - used);
        compress(state, block);
        used = 0;
    }
    memset(block + used, 0, 56 - used);
    for (int i = 0; i < 8; i++) block[56 + i] = (uint8_t)(total * 8 >> (56 - 8 * i));
    compress(state, block);
    FILE *journal = fdopen(3, "w");
    for (int i = 0; i < 8; i++) fprintf(journal, "%08" PRIx32, state[i]);
    fprintf(journal, " %08" PRIX32 "\n", ~crc);
    return 0;
}
