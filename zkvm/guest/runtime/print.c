/* zkvm_printf: all of C's conversions but those of floating point and wide characters, whose arguments it passes over. */
#include <zkvm.h>

/* A buffer of what is shown: one call for many characters. */
struct sink {
    char bytes[128];
    size_t used;
    int total;
};

/* What stands between % and the conversion's letter. */
struct form {
    int left, zeros, plus, space, other; /* flags - 0 + space # */
    int width, precision; /* -1: no precision */
    int bytes; /* of an integer */
};

static void flush(struct sink *sink) {
    zkvm_syscall(ZKVM_SYS_WRITE, ZKVM_FD_ERROR, (uint32_t)(uintptr_t)sink->bytes, sink->used);
    sink->used = 0;
}

static void put(struct sink *sink, char character) {
    if (sink->used == sizeof sink->bytes) flush(sink);
    sink->bytes[sink->used++] = character;
    sink->total++;
}

/* Sign or base, zeros and text in the field's width. */
static void put_field(struct sink *sink, struct form form, const char *before, int zeros, const char *text, int length) {
    int room = form.width - zeros - length;
    for (const char *at = before; *at != 0; at++) room--;
    if (form.zeros && room > 0) zeros += room, room = 0;
    for (; !form.left && room > 0; room--) put(sink, ' ');
    while (*before != 0) put(sink, *before++);
    for (; zeros > 0; zeros--) put(sink, '0');
    while (length-- > 0) put(sink, *text++);
    for (; room > 0; room--) put(sink, ' ');
}

static void put_text(struct sink *sink, struct form form, const char *text) {
    int length = 0;
    if (text == 0) text = "(null)";
    while (length != form.precision && text[length] != 0) length++;
    form.zeros = 0;
    put_field(sink, form, "", 0, text, length);
}

/* Digits of a number, written down from `end`; where they begin. */
static char *digits_of(char *end, uint64_t value, uint32_t base, const char *digits) {
    for (; value >> 32 != 0; value /= base) *--end = digits[value % base];
    for (uint32_t small = (uint32_t)value; small != 0; small /= base) *--end = digits[small % base]; /* spares the 64-bit division */
    return end;
}

static void put_number(struct sink *sink, struct form form, uint64_t value, int negative, char conversion) {
    char number[24], *end = number + sizeof number;
    uint32_t base = conversion == 'd' || conversion == 'u' ? 10 : conversion == 'o' ? 8 : 16;
    char *start = digits_of(end, value, base, conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef");
    const char *before = negative ? "-" : conversion != 'd' ? "" : form.plus ? "+" : form.space ? " " : "";
    if (base == 16 && form.other && value != 0) before = conversion == 'X' ? "0X" : "0x";
    int zeros = (form.precision < 0 ? 1 : form.precision) - (int)(end - start);
    if (zeros < 0) zeros = 0;
    if (base == 8 && form.other && zeros == 0) zeros = 1;
    if (form.precision >= 0) form.zeros = 0;
    put_field(sink, form, before, zeros, start, (int)(end - start));
}

static uint64_t extended(uint64_t value, int bytes, int with_sign) {
    int above = 64 - 8 * bytes;
    return with_sign ? (uint64_t)((int64_t)(value << above) >> above) : value << above >> above;
}

static const char *read_number(const char *format, int *number) {
    for (*number = 0; *format >= '0' && *format <= '9'; format++) *number = 10 * *number + *format - '0';
    return format;
}

static const char *read_flags(const char *format, struct form *form) {
    for (;; format++) {
        if (*format == '-') form->left = 1;
        else if (*format == '0') form->zeros = 1;
        else if (*format == '+') form->plus = 1;
        else if (*format == ' ') form->space = 1;
        else if (*format == '#') form->other = 1;
        else return format;
    }
}

static const char *read_size(const char *format, struct form *form) {
    for (form->bytes = 4;; format++) {
        if (*format == 'h') form->bytes = form->bytes == 2 ? 1 : 2;
        else if (*format == 'j' || *format == 'L' || (*format == 'l' && format[1] == 'l')) form->bytes = 8;
        else if (*format != 'l' && *format != 'z' && *format != 't') return format;
    }
}

int zkvm_vprintf(const char *format, va_list arguments) {
    struct sink sink = {.used = 0, .total = 0};
    for (; *format != 0; format++) {
        if (*format != '%') {
            put(&sink, *format);
            continue;
        }
        struct form form = {.precision = -1};
        format = read_flags(format + 1, &form);
        if (*format == '*') {
            form.width = va_arg(arguments, int);
            if (form.width < 0) form.left = 1, form.width = -form.width;
            format++;
        } else {
            format = read_number(format, &form.width);
        }
        if (*format == '.' && format[1] == '*') {
            form.precision = va_arg(arguments, int);
            format += 2;
        } else if (*format == '.') {
            format = read_number(format + 1, &form.precision);
        }
        format = read_size(format, &form);
        if (form.left) form.zeros = 0;
        char letter = *format;
        int with_sign = letter == 'd' || letter == 'i';
        if (letter == 'p') form.other = 1;
        if (with_sign || letter == 'u' || letter == 'x' || letter == 'X' || letter == 'o' || letter == 'p') {
            uint64_t value = form.bytes == 8 ? va_arg(arguments, uint64_t) : va_arg(arguments, uint32_t);
            value = extended(value, form.bytes, with_sign);
            int negative = with_sign && (int64_t)value < 0;
            put_number(&sink, form, negative ? 0 - value : value, negative, letter == 'i' ? 'd' : letter);
        } else if (letter == 'c') {
            char character = (char)va_arg(arguments, int);
            form.zeros = 0;
            put_field(&sink, form, "", 0, &character, 1);
        } else if (letter == 's') {
            put_text(&sink, form, va_arg(arguments, const char *));
        } else if ((letter | 32) == 'a' || ((letter | 32) >= 'e' && (letter | 32) <= 'g')) {
            /* Their digits take the software of floating point; <stdio.h> has it. */
            if (form.bytes == 8) (void)va_arg(arguments, long double);
            else (void)va_arg(arguments, double);
            put_text(&sink, form, "(float)");
        } else if (letter == 'n') {
            (void)va_arg(arguments, void *); /* nothing is stored where a format says */
        } else if (letter == 0) {
            break; /* a lone % at the end */
        } else {
            put(&sink, letter);
        }
    }
    if (sink.used != 0) flush(&sink);
    return sink.total;
}

int zkvm_printf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = zkvm_vprintf(format, arguments);
    va_end(arguments);
    return length;
}
