//! The parts of the C library that the toolchain has in Zig: characters, numbers, strings, sorting. They are beside this file when it is
//! compiled. Not among them: malloc (malloc.c) and what a guest's operating system does not have.
const builtin = @import("builtin");
const std = @import("std");

pub const panic = std.debug.no_panic;

/// Enters a function of those files into the library. Weak: a program may define its own.
pub inline fn symbol(comptime function: *const anyopaque, comptime name: []const u8) void {
    @export(function, .{ .name = name, .linkage = .weak });
}

comptime {
    _ = @import("c/ctype.zig");
    _ = @import("c/inttypes.zig");
    _ = @import("c/math.zig");
    _ = @import("c/search.zig");
    _ = @import("c/stdlib.zig");
    _ = @import("c/string.zig");
    _ = @import("c/strings.zig");
    _ = @import("c/wchar.zig");
}
