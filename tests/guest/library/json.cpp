// Reads JSON from standard input and writes it to the journal with sorted keys and no spaces. Exit code 1: no JSON.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct Value;
using Array = std::vector<Value>;
using Object = std::map<std::string, Value, std::less<>>;
struct Value {
    std::variant<std::nullptr_t, bool, long long, double, std::string, std::unique_ptr<Array>, std::unique_ptr<Object>> content;
};

[[noreturn]] static void refuse(const char *why, size_t at) {
    std::fprintf(stderr, "byte %zu: %s\n", at, why);
    std::exit(1);
}

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Value whole() {
        Value value = any();
        space();
        if (at_ != text_.size()) refuse("something behind the value", at_);
        return value;
    }

  private:
    std::string_view text_;
    size_t at_ = 0;

    void space() {
        while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) at_++;
    }
    char next() { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char wanted) {
        space();
        if (next() != wanted) return false;
        at_++;
        return true;
    }
    void demand(char wanted, const char *why) {
        if (!take(wanted)) refuse(why, at_);
    }
    bool word(std::string_view wanted) {
        if (text_.substr(at_, wanted.size()) != wanted) return false;
        at_ += wanted.size();
        return true;
    }
    Value any() {
        space();
        switch (next()) {
        case '{': return {object()};
        case '[': return {array()};
        case '"': return {string()};
        default: break;
        }
        if (word("true")) return {true};
        if (word("false")) return {false};
        if (word("null")) return {nullptr};
        return number();
    }
    Value number() {
        const std::string digits(text_.substr(at_, text_.find_first_not_of("+-0123456789.eE", at_) - at_));
        if (digits.empty()) refuse("no value", at_);
        at_ += digits.size();
        if (digits.find_first_of(".eE") == std::string::npos) return {std::strtoll(digits.c_str(), nullptr, 10)};
        return {std::strtod(digits.c_str(), nullptr)};
    }
    std::string string() {
        std::string result;
        demand('"', "a string is missing");
        for (; next() != '"'; at_++) {
            if (at_ >= text_.size()) refuse("the string does not end", at_);
            if (next() != '\\') {
                result += next();
                continue;
            }
            at_++;
            const auto place = std::string_view("\"\\/bfnrt").find(next());
            if (place == std::string_view::npos) refuse("no such escape", at_);
            result += "\"\\/\b\f\n\r\t"[place];
        }
        at_++;
        return result;
    }
    std::unique_ptr<Array> array() {
        auto items = std::make_unique<Array>();
        demand('[', "an array is missing");
        if (take(']')) return items;
        do items->push_back(any());
        while (take(','));
        demand(']', "] is missing");
        return items;
    }
    std::unique_ptr<Object> object() {
        auto items = std::make_unique<Object>();
        demand('{', "an object is missing");
        if (take('}')) return items;
        do {
            space();
            std::string key = string();
            demand(':', ": is missing");
            (*items)[std::move(key)] = any();
        } while (take(','));
        demand('}', "} is missing");
        return items;
    }
};

static void write(std::string &out, const std::string &text) {
    out += '"';
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (c == '\n') out += "\\n";
        else out += c;
    }
    out += '"';
}

static void write(std::string &out, const Value &value) {
    struct Writer {
        std::string &out;
        void operator()(std::nullptr_t) { out += "null"; }
        void operator()(bool truth) { out += truth ? "true" : "false"; }
        void operator()(long long number) { out += std::to_string(number); }
        void operator()(double number) {
            char digits[32];
            std::snprintf(digits, sizeof digits, "%.17g", number);
            out += digits;
        }
        void operator()(const std::string &text) { write(out, text); }
        void operator()(const std::unique_ptr<Array> &items) {
            out += '[';
            for (size_t i = 0; i < items->size(); i++) {
                if (i != 0) out += ',';
                write(out, (*items)[i]);
            }
            out += ']';
        }
        void operator()(const std::unique_ptr<Object> &items) {
            char before = '{';
            for (const auto &[key, item] : *items) {
                out += before;
                write(out, key);
                out += ':';
                write(out, item);
                before = ',';
            }
            out += items->empty() ? "{}" : "}";
        }
    };
    std::visit(Writer{out}, value.content);
}

int main() {
    std::string text, out;
    for (int c; (c = std::getchar()) != EOF;) text += static_cast<char>(c);
    write(out, Parser(text).whole());
    std::FILE *journal = fdopen(3, "w");
    std::fputs(out.c_str(), journal);
    return 0;
}
