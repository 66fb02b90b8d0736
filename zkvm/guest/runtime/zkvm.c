/* The calls of zkvm.h that are more than one system call. */
#include <zkvm.h>

void zkvm_read_exact(void *buffer, size_t length) {
    uint8_t *to = buffer;
    while (length != 0) {
        size_t count = zkvm_read(to, length);
        if (count == 0) zkvm_panic("the input ended early");
        to += count;
        length -= count;
    }
}

void zkvm_log(const char *text) {
    zkvm_print(text, strlen(text));
    zkvm_print("\n", 1);
}

void zkvm_log_i32(const char *text, int32_t value) {
    char digits[12]; /* sign, ten digits, newline */
    char *at = digits + sizeof digits;
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    *--at = '\n';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0) *--at = '-';
    zkvm_print(text, strlen(text));
    zkvm_print(at, (size_t)(digits + sizeof digits - at));
}

void zkvm_panic(const char *message) {
    zkvm_syscall(ZKVM_SYS_WRITE, ZKVM_FD_ERROR, (uint32_t)(uintptr_t)message, strlen(message));
    zkvm_syscall(ZKVM_SYS_WRITE, ZKVM_FD_ERROR, (uint32_t)(uintptr_t)"\n", 1);
    zkvm_exit(1);
}

void *zkvm_allocate(size_t length) {
    uint32_t start = ((uint32_t)zkvm_syscall(ZKVM_SYS_BRK, 0, 0, 0) + 15u) & ~15u;
    uint32_t end = start + (uint32_t)length;
    if (end < start || (uint32_t)zkvm_syscall(ZKVM_SYS_BRK, end, 0, 0) != end) zkvm_panic("out of memory");
    return (void *)(uintptr_t)start;
}

/* A buffer of what zkvm_printf shows: one call for many characters. */
struct sink {
    char bytes[128];
    size_t used;
    int total;
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

static void put_padded(struct sink *sink, const char *text, size_t length, int width, int left, char fill) {
    int room = width - (int)length;
    /* Zeros go between sign and digits. */
    if (fill == '0' && length != 0 && *text == '-') {
        put(sink, *text++);
        length--;
    }
    for (; !left && room > 0; room--) put(sink, fill);
    while (length-- != 0) put(sink, *text++);
    for (; room > 0; room--) put(sink, ' ');
}

/* Digits of a number, written down from `end`; where they begin. */
static char *digits_of(char *end, uint64_t value, uint32_t base, const char *digits) {
    if (value >> 32 == 0) { /* spares the 64-bit division */
        uint32_t small = (uint32_t)value;
        do *--end = digits[small % base];
        while ((small /= base) != 0);
        return end;
    }
    do *--end = digits[value % base];
    while ((value /= base) != 0);
    return end;
}

int zkvm_vprintf(const char *format, va_list arguments) {
    struct sink sink = {.used = 0, .total = 0};
    char number[24];
    for (; *format != 0; format++) {
        if (*format != '%') {
            put(&sink, *format);
            continue;
        }
        int left = 0, width = 0, precision = -1, longs = 0;
        char fill = ' ';
        for (format++; *format == '-' || *format == '0'; format++) {
            if (*format == '-') left = 1;
            else fill = '0';
        }
        if (*format == '*') {
            width = va_arg(arguments, int);
            format++;
        }
        for (; *format >= '0' && *format <= '9'; format++) width = 10 * width + *format - '0';
        if (*format == '.') {
            for (precision = 0, format++; *format >= '0' && *format <= '9'; format++) precision = 10 * precision + *format - '0';
        }
        for (; *format == 'l' || *format == 'z' || *format == 'h'; format++) longs += *format == 'l';
        char *end = number + sizeof number, *start = end;
        const char *digits = *format == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
        if (left) fill = ' ';
        switch (*format) {
        case 'd':
        case 'i': {
            int64_t value = longs >= 2 ? va_arg(arguments, int64_t) : va_arg(arguments, int32_t);
            start = digits_of(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, digits);
            if (value < 0) *--start = '-';
            put_padded(&sink, start, (size_t)(end - start), width, left, fill);
            break;
        }
        case 'u':
        case 'x':
        case 'X':
        case 'o':
        case 'p': {
            uint64_t value = longs >= 2 ? va_arg(arguments, uint64_t) : va_arg(arguments, uint32_t);
            start = digits_of(end, value, *format == 'u' ? 10 : *format == 'o' ? 8 : 16, digits);
            if (*format == 'p') *--start = 'x', *--start = '0';
            put_padded(&sink, start, (size_t)(end - start), width, left, fill);
            break;
        }
        case 'c':
            *--start = (char)va_arg(arguments, int);
            put_padded(&sink, start, 1, width, left, ' ');
            break;
        case 's': {
            const char *text = va_arg(arguments, const char *);
            size_t length = 0;
            while (length != (size_t)precision && text[length] != 0) length++;
            put_padded(&sink, text, length, width, left, ' ');
            break;
        }
        case 0:
            format--; /* a lone % at the end */
            break;
        default:
            put(&sink, *format);
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
