// malloc under a load that the input chooses. Every block is filled with its own byte and checked before it goes. Input: operations, each
// a slot (1 byte), a kind (1 byte) and a size (4 bytes). Journal: how many could not be had, and how much memory the blocks lie in.
#include <zkvm.h>

#include <cstdlib>
#include <cstring>

struct Slot {
    uint8_t *block;
    size_t length;
    uint8_t mark;
};
static Slot slots[256];

static void check(const Slot &slot) {
    for (size_t i = 0; i < slot.length; i += slot.length / 64 + 1) zkvm_assert(slot.block[i] == slot.mark);
}

int main() {
    uint32_t count = zkvm_read_u32(), missing = 0;
    uintptr_t lowest = UINTPTR_MAX, highest = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t request[2];
        zkvm_read_exact(request, sizeof request);
        size_t length = zkvm_read_u32();
        Slot &slot = slots[request[0]];
        check(slot);
        uint8_t *block = nullptr;
        switch (request[1]) {
        case 0: std::free(slot.block); break;
        case 1: std::free(slot.block), block = static_cast<uint8_t *>(std::malloc(length)); break;
        case 2:
            std::free(slot.block), block = static_cast<uint8_t *>(std::calloc(length, 1));
            for (size_t k = 0; block && k < length; k += length / 64 + 1) zkvm_assert(block[k] == 0);
            break;
        case 3:
            block = static_cast<uint8_t *>(std::realloc(slot.block, length));
            for (size_t k = 0; block && slot.length && k < slot.length && k < length; k += slot.length / 64 + 1) zkvm_assert(block[k] == slot.mark);
            if (!block) std::free(slot.block);
            break;
        case 4:
            std::free(slot.block), block = static_cast<uint8_t *>(std::aligned_alloc(64, length));
            zkvm_assert(reinterpret_cast<uintptr_t>(block) % 64 == 0);
            break;
        default: zkvm_allocate(length % 1000); block = slot.block, length = slot.length; break;
        }
        zkvm_assert(reinterpret_cast<uintptr_t>(block) % 16 == 0);
        if (request[1] != 0 && request[1] != 5 && !block) missing++;
        slot = {block, block ? length : 0, static_cast<uint8_t>(i)};
        if (!block) continue;
        for (size_t k = 0; k < length; k += length / 64 + 1) block[k] = slot.mark;
        if (length) block[length - 1] = slot.mark;
        auto start = reinterpret_cast<uintptr_t>(block);
        lowest = start < lowest ? start : lowest;
        highest = start + length > highest ? start + length : highest;
    }
    for (const Slot &slot : slots) check(slot);
    zkvm_commit_u32(missing);
    zkvm_commit_u32(highest > lowest ? static_cast<uint32_t>(highest - lowest) : 0);
    return 0;
}
