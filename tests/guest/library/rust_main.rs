// A Rust program on the SDK's runtime: no standard library, but alloc, on the C library's malloc.
#![no_std]

extern crate alloc;

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::alloc::{GlobalAlloc, Layout};

extern "C" {
    fn aligned_alloc(alignment: usize, length: usize) -> *mut u8;
    fn free(block: *mut u8);
    fn read(file: i32, buffer: *mut u8, length: usize) -> isize;
    fn write(file: i32, bytes: *const u8, length: usize) -> isize;
    fn abort() -> !;
}

struct Allocator;

unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { aligned_alloc(layout.align(), layout.size()) }
    }
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        unsafe { free(block) }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let text = format!("{info}\n");
    unsafe {
        write(2, text.as_ptr(), text.len());
        abort()
    }
}

/// How often each word of the input occurs, in the order of the alphabet.
#[no_mangle]
pub extern "C" fn main() -> i32 {
    let mut input = Vec::new();
    let mut piece = [0u8; 100];
    loop {
        let count = unsafe { read(0, piece.as_mut_ptr(), piece.len()) };
        if count <= 0 {
            break;
        }
        input.extend_from_slice(&piece[..count as usize]);
    }
    let text = String::from_utf8(input).expect("text in UTF-8");
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_insert(0u64) += 1;
    }
    let lines: String = counts.iter().map(|(word, count)| format!("{word} {count}\n")).collect();
    unsafe { write(3, lines.as_ptr(), lines.len()) };
    0
}
