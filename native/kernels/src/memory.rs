//! Memory of large blocks, which is kept: the allocator of a program whose columns come and go.
//!
//! Fresh memory costs a page fault every 4 KB, which for a proof of many large columns is as much as their transforms. So
//! blocks that are given back wait in lists, by size, and are handed out again as they are. Two bounds hold: blocks in use and
//! blocks kept are together little more than what was ever in use at once, and those kept are at most half of the memory that
//! would be available without them.
//!
//! Huge pages make columns a tenth faster to work on, but a fresh one may cost milliseconds (in a virtual machine that returns
//! its free memory to the host): a block of 2 MB or more, which is aligned to them, gets them when it has proved its use.
//!
//! A list that another thread holds is not waited for, so that a process forked at any moment goes on.

use rayon::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::MaybeUninit;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

/// From here on blocks are kept. Smaller ones are the system allocator's.
pub const LARGE: usize = 1 << 16;
const PAGE: usize = 1 << 12;
const HUGE_PAGE: usize = 1 << 21;
/// Sizes between a power of two and the next: a block is at most an eighth larger than was asked for.
const STEPS: usize = 8;
/// Bytes given back between two looks at the memory there is.
const LOOK: usize = 1 << 26;
/// How often a list is tried before its block comes from the system, or goes there.
const PATIENCE: usize = 100;

/// A block that is handed out for this many times gets huge pages.
const USES: u32 = 6;

/// To be a `#[global_allocator]`.
pub struct Memory {
    lists: Mutex<Lists>,
    /// Bytes in use, the most that ever were, and those kept.
    live: AtomicUsize,
    peak: AtomicUsize,
    kept: AtomicUsize,
    /// What may be kept, as it was when last looked at, and the bytes given back since.
    allowed: AtomicUsize,
    since: AtomicUsize,
    /// How often a block was handed out, by its address; where two meet, both seem more useful than they are.
    uses: [AtomicU32; 1 << 12],
}

/// A block in a list holds the next one in its first word.
type Block = NonNull<u8>;

struct Lists([Option<Block>; STEPS * usize::BITS as usize]);

// SAFETY: blocks belong to the lists alone.
unsafe impl Send for Lists {}

impl Lists {
    fn push(&mut self, class: usize, block: Block) {
        // SAFETY: a block has room for a word, and nobody else has it.
        unsafe { block.cast().write(self.0[class]) };
        self.0[class] = Some(block);
    }

    fn pop(&mut self, class: usize) -> Option<Block> {
        let block = self.0[class]?;
        // SAFETY: `push` wrote it.
        self.0[class] = unsafe { block.cast().read() };
        Some(block)
    }
}

/// The list of a size of at least LARGE, and the bytes of its blocks.
fn class(size: usize) -> (usize, usize) {
    let capacity = size.next_multiple_of(1 << (size.ilog2() - STEPS.ilog2()));
    (class_of(capacity), capacity)
}

fn class_of(capacity: usize) -> usize {
    let power = capacity.ilog2();
    STEPS * power as usize + (capacity >> (power - STEPS.ilog2())) % STEPS
}

fn capacity_of(class: usize) -> usize {
    (STEPS + class % STEPS) << (class / STEPS - STEPS.ilog2() as usize)
}

impl Memory {
    pub const fn new() -> Memory {
        Memory {
            lists: Mutex::new(Lists([None; STEPS * usize::BITS as usize])),
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            allowed: AtomicUsize::new(0),
            since: AtomicUsize::new(LOOK),
            uses: [const { AtomicU32::new(0) }; 1 << 12],
        }
    }

    fn lists(&self) -> Option<MutexGuard<'_, Lists>> {
        (0..PATIENCE).find_map(|_| {
            std::hint::spin_loop();
            self.lists.try_lock().ok()
        })
    }

    /// A block, and whether it is fresh: all zeros.
    fn take(&self, size: usize) -> (*mut u8, bool) {
        let (class, capacity) = class(size);
        let live = self.live.fetch_add(capacity, Relaxed) + capacity;
        let peak = self.peak.fetch_max(live, Relaxed).max(live);
        if let Some(block) = self.lists().and_then(|mut lists| lists.pop(class)) {
            self.kept.fetch_sub(capacity, Relaxed);
            let huge = capacity >= HUGE_PAGE && self.uses(block.as_ptr()).fetch_add(1, Relaxed) + 1 == USES;
            // SAFETY: a block of this capacity whose content nobody wants.
            return (block.as_ptr(), huge && unsafe { pages::make_huge(block.as_ptr(), capacity) });
        }
        self.trim((peak + peak / 8).saturating_sub(live));
        let mut fresh = pages::map(capacity);
        if fresh.is_null() {
            self.trim(0);
            fresh = pages::map(capacity);
        }
        if fresh.is_null() {
            self.live.fetch_sub(capacity, Relaxed);
        }
        self.uses(fresh).store(1, Relaxed);
        (fresh, true)
    }

    fn uses(&self, block: *mut u8) -> &AtomicU32 {
        let number = block as usize / PAGE;
        &self.uses[(number ^ number >> 12) % self.uses.len()]
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// It came from `take` with this size.
    unsafe fn give(&self, block: *mut u8, size: usize) {
        let (class, capacity) = class(size);
        self.live.fetch_sub(capacity, Relaxed);
        if self.since.fetch_add(capacity, Relaxed) >= LOOK {
            self.since.store(0, Relaxed);
            self.allowed.store((self.kept.load(Relaxed) + available()) / 2, Relaxed);
            self.trim(self.allowed.load(Relaxed));
        }
        if self.kept.load(Relaxed) + capacity <= self.allowed.load(Relaxed) {
            if let (Some(mut lists), Some(block)) = (self.lists(), NonNull::new(block)) {
                lists.push(class, block);
                self.kept.fetch_add(capacity, Relaxed);
                return;
            }
        }
        // SAFETY: mapped with this capacity, by the caller's word.
        unsafe { pages::unmap(block, capacity) };
    }

    /// Gives blocks back to the system, the largest first, until at most this many bytes are kept.
    fn trim(&self, bytes: usize) {
        if self.kept.load(Relaxed) <= bytes {
            return;
        }
        let Some(mut lists) = self.lists() else { return };
        for class in (class_of(LARGE)..lists.0.len()).rev() {
            while self.kept.load(Relaxed) > bytes {
                let Some(block) = lists.pop(class) else { break };
                self.kept.fetch_sub(capacity_of(class), Relaxed);
                // SAFETY: a block of this list has this capacity.
                unsafe { pages::unmap(block.as_ptr(), capacity_of(class)) };
            }
        }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

fn is_large(layout: &Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE
}

// SAFETY: large blocks are whole mappings of at least the size asked for, page-aligned, each handed out once until it comes
// back; all others are the system allocator's, by the same rule on the same layout.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(&layout) {
            self.take(layout.size()).0
        } else {
            // SAFETY: the caller's.
            unsafe { System.alloc(layout) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_large(&layout) {
            // SAFETY: the caller's.
            return unsafe { System.alloc_zeroed(layout) };
        }
        let (block, fresh) = self.take(layout.size());
        if !fresh && !block.is_null() {
            // SAFETY: the block has at least this size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's: the block came from here with this layout.
        unsafe {
            if is_large(&layout) {
                self.give(block, layout.size());
            } else {
                System.dealloc(block, layout);
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's: a size that is not zero and does not overflow with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(&layout), is_large(&new)) {
            // SAFETY: the caller's.
            (false, false) => unsafe { System.realloc(block, layout, size) },
            (true, true) if class(layout.size()) == class(size) => block,
            _ => {
                // SAFETY: the caller's; both blocks have at least the smaller size.
                unsafe {
                    let moved = self.alloc(new);
                    if !moved.is_null() {
                        moved.copy_from_nonoverlapping(block, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

/// Whole pages from the system, all zeros; from HUGE_PAGE on aligned to that.
#[cfg(unix)]
mod pages {
    use super::{null_mut, HUGE_PAGE};

    /// Null where there is no memory.
    pub fn map(bytes: usize) -> *mut u8 {
        let slack = if bytes >= HUGE_PAGE { HUGE_PAGE } else { 0 };
        // SAFETY: a new mapping, of whole pages.
        let start = unsafe {
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            libc::mmap(null_mut(), bytes + slack, access, kind, -1, 0)
        };
        if start == libc::MAP_FAILED {
            return null_mut();
        }
        let start = start.cast::<u8>();
        let before = start.align_offset(slack.max(1));
        // SAFETY: parts of the mapping, of whole pages, that nobody has seen.
        unsafe {
            for (part, length) in [(start, before), (start.add(before + bytes), slack - before)] {
                if length > 0 {
                    libc::munmap(part.cast(), length);
                }
            }
            start.add(before)
        }
    }

    /// Other pages in the place of these, as large as the system has them: all zeros where this says so.
    ///
    /// # Safety
    /// The block is of whole pages that the system gave to this process alone, and nobody wants its content.
    pub unsafe fn make_huge(block: *mut u8, bytes: usize) -> bool {
        #[cfg(target_os = "linux")]
        // SAFETY: the caller's.
        return unsafe {
            libc::madvise(block.cast(), bytes, libc::MADV_DONTNEED) == 0
                && libc::madvise(block.cast(), bytes / HUGE_PAGE * HUGE_PAGE, libc::MADV_HUGEPAGE) <= 0
        };
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// # Safety
    /// The block is one that `map` gave for so many bytes, and nobody has it any more.
    pub unsafe fn unmap(block: *mut u8, bytes: usize) {
        // SAFETY: the caller's.
        unsafe { libc::munmap(block.cast(), bytes) };
    }
}

#[cfg(not(unix))]
mod pages {
    use super::{GlobalAlloc, Layout, System, PAGE};

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, PAGE).expect("a size that was asked for")
    }

    pub fn map(bytes: usize) -> *mut u8 {
        // SAFETY: not of size zero.
        unsafe { System.alloc_zeroed(layout(bytes)) }
    }

    /// # Safety
    /// None.
    pub unsafe fn make_huge(_: *mut u8, _: usize) -> bool {
        false
    }

    /// # Safety
    /// The block is one that `map` gave for so many bytes, and nobody has it any more.
    pub unsafe fn unmap(block: *mut u8, bytes: usize) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, layout(bytes)) }
    }
}

/// A vector of parts of `size` elements, each filled by a task of its own. A part comes as zeros, made when its task starts: fresh
/// memory is touched by the core that fills it, and what is overwritten costs a pass over its cache alone.
pub fn filled<T: Copy + Send + Sync>(
    length: usize,
    size: usize,
    zero: T,
    fill: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    let mut out = Vec::with_capacity(length);
    let parts = out.spare_capacity_mut()[..length].par_chunks_mut(size);
    parts.enumerate().for_each(|(number, part)| fill(number, zeroed(part, zero)));
    // SAFETY: every element is in a part.
    unsafe { out.set_len(length) };
    out
}

/// An empty vector with room for elements that are read in no order: in huge pages where the system has them, since with small
/// ones most reads would wait for the walk through the page table.
pub fn scattered<T>(length: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(length);
    let room = out.spare_capacity_mut();
    let (start, bytes) = (room.as_mut_ptr().cast::<u8>(), size_of_val(room));
    let before = start.align_offset(HUGE_PAGE);
    if before.saturating_add(HUGE_PAGE) <= bytes {
        let whole = (bytes - before) / HUGE_PAGE * HUGE_PAGE;
        // SAFETY: whole pages of the room, in which there is nothing yet.
        unsafe { pages::make_huge(start.add(before), whole) };
    }
    out
}

/// The part with this value everywhere.
pub fn zeroed<T: Copy>(part: &mut [MaybeUninit<T>], zero: T) -> &mut [T] {
    for slot in &mut *part {
        slot.write(zero);
    }
    // SAFETY: every element has been written.
    unsafe { &mut *(std::ptr::from_mut(part) as *mut [T]) }
}

/// The bytes that could be taken before the system, or this process's group of processes, runs short.
#[cfg(target_os = "linux")]
pub fn available() -> usize {
    let free = kibibytes("/proc/meminfo\0", "MemAvailable:").map_or(1 << 30, |kib| kib << 10);
    let limit = number("/sys/fs/cgroup/memory.max\0").zip(number("/sys/fs/cgroup/memory.current\0"));
    limit.map_or(free, |(most, now)| free.min(most.saturating_sub(now)))
}

/// Elsewhere a guess.
#[cfg(not(target_os = "linux"))]
pub fn available() -> usize {
    1 << 30
}

/// Without an allocation, for this runs inside of one. The path ends with a zero.
#[cfg(target_os = "linux")]
fn read<'a>(path: &str, buffer: &'a mut [u8; 1024]) -> Option<&'a str> {
    assert!(path.ends_with('\0'));
    // SAFETY: a string that ends with a zero, and a buffer of that many bytes.
    let count = unsafe {
        let file = libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let count = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(file);
        count
    };
    std::str::from_utf8(&buffer[..usize::try_from(count).ok()?]).ok()
}

/// The number behind a word.
#[cfg(target_os = "linux")]
fn kibibytes(path: &str, word: &str) -> Option<usize> {
    read(path, &mut [0; 1024])?.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}

/// The number that a file holds; None for "max".
#[cfg(target_os = "linux")]
fn number(path: &str) -> Option<usize> {
    read(path, &mut [0; 1024])?.trim().parse().ok()
}

/// Says that a value will be read soon.
#[inline(always)]
pub fn ask<T>(_value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(_value).cast());
    }
}

#[cfg(test)]
#[path = "tests/memory.rs"]
mod tests;
