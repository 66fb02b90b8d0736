// Sorts in five ways; every result goes to the journal. Input: a count, then that many signed integers.
#include <zkvm.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <queue>
#include <set>
#include <vector>

static void commit(const std::vector<int32_t> &values) {
    zkvm_commit(values.data(), values.size() * sizeof values[0]);
}

static int compare(const void *left, const void *right) {
    int32_t a = *static_cast<const int32_t *>(left), b = *static_cast<const int32_t *>(right);
    return (a > b) - (a < b);
}

int main() {
    std::vector<int32_t> values(zkvm_read_u32());
    zkvm_read_exact(values.data(), values.size() * sizeof values[0]);

    auto sorted = values;
    std::sort(sorted.begin(), sorted.end());
    commit(sorted);

    auto by_library = values;
    std::qsort(by_library.data(), by_library.size(), sizeof by_library[0], compare);
    commit(by_library);

    auto stable = values; // by the last digit, else in the order of the input
    std::stable_sort(stable.begin(), stable.end(), [](int32_t a, int32_t b) { return std::abs(a % 10) < std::abs(b % 10); });
    commit(stable);

    std::priority_queue<int32_t> heap(values.begin(), values.end());
    std::vector<int32_t> descending;
    for (; !heap.empty(); heap.pop()) descending.push_back(heap.top());
    commit(descending);

    std::multiset<int32_t> tree(values.begin(), values.end());
    commit(std::vector<int32_t>(tree.begin(), tree.end()));
    return 0;
}
