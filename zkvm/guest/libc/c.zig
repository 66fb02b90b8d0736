//! The parts of the C library that the toolchain has in Zig: characters, numbers, strings, sorting. They are beside this file when it is
//! compiled. Not among them: malloc (malloc.c). Calls of an operating system answer that they do not exist.
const std = @import("std");

pub const panic = std.debug.no_panic;

/// In string.c, faster. Once this object is linked for something else, its names count.
const others = [_][]const u8{
    "strcmp", "strncmp",    "stpcpy",      "__stpcpy", "strcpy", "strcat",
    "strchr", "strchrnul", "__strchrnul", "memchr",   "strnlen",
};

/// Enters a function of those files into the library. Weak: a program may define its own.
pub inline fn symbol(comptime function: *const anyopaque, comptime name: []const u8) void {
    @setEvalBranchQuota(1_000_000);
    inline for (others) |other| {
        if (comptime std.mem.eql(u8, name, other)) return;
    }
    @export(function, .{ .name = name, .linkage = .weak });
}

/// The result of a system call, or -1 with its error in errno.
pub fn errno(result: usize) c_int {
    const signed: isize = @bitCast(result);
    if (signed >= 0) return @intCast(signed);
    std.c._errno().* = @intCast(-signed);
    return -1;
}

comptime {
    @setEvalBranchQuota(1_000_000);
    _ = @import("c/ctype.zig");
    _ = @import("c/fcntl.zig");
    _ = @import("c/inttypes.zig");
    _ = @import("c/math.zig");
    _ = @import("c/pthread.zig");
    _ = @import("c/search.zig");
    _ = @import("c/stdlib.zig");
    _ = @import("c/string.zig");
    _ = @import("c/strings.zig");
    _ = @import("c/sys/file.zig");
    _ = @import("c/sys/mman.zig");
    _ = @import("c/sys/utsname.zig");
    _ = @import("c/unistd.zig");
    _ = @import("c/wchar.zig");
}
