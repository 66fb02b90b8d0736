// Large integers: reads two numbers in decimal and a modulus; writes sum, product and power modulo the third to the journal.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

class Natural {
  public:
    Natural(uint32_t value = 0) : limbs_(value ? 1 : 0, value) {}
    explicit Natural(const std::string &digits) {
        for (char digit : digits) *this = *this * Natural(10) + Natural(static_cast<uint32_t>(digit - '0'));
    }

    Natural operator+(const Natural &other) const {
        Natural sum;
        uint64_t carry = 0;
        for (size_t i = 0; i < std::max(limbs_.size(), other.limbs_.size()); i++) {
            carry += uint64_t(limb(i)) + other.limb(i);
            sum.limbs_.push_back(static_cast<uint32_t>(carry));
            carry >>= 32;
        }
        if (carry) sum.limbs_.push_back(static_cast<uint32_t>(carry));
        return sum;
    }
    Natural operator*(const Natural &other) const {
        Natural product;
        product.limbs_.assign(limbs_.size() + other.limbs_.size(), 0);
        for (size_t i = 0; i < limbs_.size(); i++) {
            uint64_t carry = 0;
            for (size_t j = 0; j < other.limbs_.size() || carry; j++) {
                carry += product.limbs_[i + j] + uint64_t(limbs_[i]) * other.limb(j);
                product.limbs_[i + j] = static_cast<uint32_t>(carry);
                carry >>= 32;
            }
        }
        product.trim();
        return product;
    }
    bool operator<(const Natural &other) const {
        if (limbs_.size() != other.limbs_.size()) return limbs_.size() < other.limbs_.size();
        return std::lexicographical_compare(limbs_.rbegin(), limbs_.rend(), other.limbs_.rbegin(), other.limbs_.rend());
    }
    Natural operator%(const Natural &modulus) const {
        Natural rest;
        for (size_t bit = 32 * limbs_.size(); bit-- > 0;) {
            rest = rest + rest + Natural(bit_at(bit));
            if (!(rest < modulus)) rest.subtract(modulus);
        }
        return rest;
    }
    uint32_t bit_at(size_t bit) const { return limbs_[bit / 32] >> bit % 32 & 1; }
    size_t bits() const { return 32 * limbs_.size(); }

    friend std::ostream &operator<<(std::ostream &out, Natural value) {
        std::string digits;
        do {
            uint64_t rest = 0;
            for (size_t i = value.limbs_.size(); i-- > 0;) {
                rest = rest << 32 | value.limbs_[i];
                value.limbs_[i] = static_cast<uint32_t>(rest / 1000000000);
                rest %= 1000000000;
            }
            value.trim();
            for (int i = 0; i < 9; i++, rest /= 10) digits += static_cast<char>('0' + rest % 10);
        } while (!value.limbs_.empty());
        while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
        std::reverse(digits.begin(), digits.end());
        return out << digits;
    }

  private:
    std::vector<uint32_t> limbs_; // lowest first, the last not zero

    uint32_t limb(size_t i) const { return i < limbs_.size() ? limbs_[i] : 0; }
    void trim() {
        while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
    }
    void subtract(const Natural &other) {
        int64_t borrow = 0;
        for (size_t i = 0; i < limbs_.size(); i++) {
            borrow += int64_t(limbs_[i]) - other.limb(i);
            limbs_[i] = static_cast<uint32_t>(borrow);
            borrow >>= 32;
        }
        trim();
    }
};

int main() {
    std::string first, second, third;
    std::cin >> first >> second >> third;
    Natural a(first), b(second), m(third), power(1);
    for (size_t bit = b.bits(); bit-- > 0;) {
        power = power * power % m;
        if (b.bit_at(bit)) power = power * a % m;
    }
    std::ostringstream out;
    out << a + b << '\n' << a * b << '\n' << power << '\n';
    std::cout << "sum, product and power are known\n";
    std::FILE *journal = fdopen(3, "w");
    std::fputs(out.str().c_str(), journal);
    return 0;
}
