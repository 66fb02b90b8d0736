/* What code calls that was compiled with checks (zkvm build --checks) where C leaves the result open: a panic with the place. */
#include <zkvm.h>

/* What the compiler knows of each place; more follows, of another form for each kind. */
struct place {
    const char *file;
    uint32_t line, column;
};

ZKVM_NORETURN static void refuse(const struct place *place, const char *what) {
    zkvm_printf("%s:%u:%u: %s\n", place->file ? place->file : "?", place->line, place->column, what);
    zkvm_exit(1);
}

#define CHECK(name, what) \
    ZKVM_NORETURN void __ubsan_handle_##name(const struct place *place) { \
        refuse(place, what); \
    }

CHECK(add_overflow_abort, "signed integer overflow: addition")
CHECK(sub_overflow_abort, "signed integer overflow: subtraction")
CHECK(mul_overflow_abort, "signed integer overflow: multiplication")
CHECK(negate_overflow_abort, "signed integer overflow: negation")
CHECK(divrem_overflow_abort, "division by zero, or of the smallest integer by -1")
CHECK(shift_out_of_bounds_abort, "shift by a negative number, by the width or more, or of a negative number or its overflow")
CHECK(out_of_bounds_abort, "index outside the array")
CHECK(local_out_of_bounds_abort, "index outside the array")
CHECK(pointer_overflow_abort, "pointer arithmetic overflows, or begins at null")
CHECK(type_mismatch_v1_abort, "access by a null or misaligned pointer")
CHECK(float_cast_overflow_abort, "a floating-point number that the integer type cannot hold")
CHECK(load_invalid_value_abort, "a value that the type does not have")
CHECK(invalid_builtin_abort, "zero, for which the count of bits is not defined")
CHECK(nonnull_arg_abort, "null where the function demands a pointer")
CHECK(builtin_unreachable, "code that must not be reached")
CHECK(missing_return, "the function ends without its result")
