use super::*;
use proptest::prelude::*;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

fn addresses(memory: &Memory, sizes: &[usize]) -> Vec<usize> {
    // SAFETY: sizes are not zero; every block goes back once.
    unsafe {
        let blocks: Vec<*mut u8> = sizes.iter().map(|size| memory.alloc(layout(*size))).collect();
        blocks.iter().zip(sizes).for_each(|(block, size)| memory.dealloc(*block, layout(*size)));
        blocks.iter().map(|block| *block as usize).collect()
    }
}

#[test]
fn classes_are_a_little_larger_than_sizes() {
    for size in (LARGE..4 * LARGE).step_by(977).chain((16..40).map(|power| (1 << power) + 1)) {
        let (number, capacity) = class(size);
        assert!(capacity >= size && capacity <= size + size / STEPS + PAGE && capacity % PAGE == 0);
        assert_eq!((capacity_of(number), class_of(capacity)), (capacity, number));
    }
    for power in 16..40 {
        assert_eq!(class(1 << power).1, 1 << power); // a column has no waste
    }
}

#[test]
fn what_came_back_is_handed_out_again() {
    let memory = Memory::new();
    let sizes = [LARGE, 3 << 20, 3 << 20, 1 << 23];
    let mut first = addresses(&memory, &sizes);
    let mut second = addresses(&memory, &sizes);
    first.sort_unstable();
    second.sort_unstable();
    assert_eq!(first, second);
    assert!(addresses(&memory, &[3 << 20])[0].is_multiple_of(HUGE_PAGE) && memory.live.load(Relaxed) == 0);
}

/// A block that became huge is all zeros, whatever was in it; one that did not is handed out as it is.
#[test]
fn useful_blocks_get_huge_pages() {
    let memory = Memory::new();
    for use_ in 1..3 * USES {
        let (block, zero) = memory.take(5 << 20);
        // SAFETY: of this size, and given back once.
        unsafe {
            assert!(!zero || (0..5 << 20).step_by(PAGE).all(|i| *block.add(i) == 0));
            assert!(!(use_ == USES && cfg!(target_os = "linux")) || zero);
            block.write_bytes(3, 5 << 20);
            memory.give(block, 5 << 20);
        }
    }
}

#[test]
fn zeros_are_zeros_also_in_a_used_block() {
    let memory = Memory::new();
    // SAFETY: blocks of this size, each given back once.
    unsafe {
        for _ in 0..2 {
            let block = memory.alloc_zeroed(layout(LARGE + 5));
            assert!((0..LARGE + 5).all(|i| *block.add(i) == 0));
            block.write_bytes(7, LARGE + 5);
            memory.dealloc(block, layout(LARGE + 5));
        }
    }
}

#[test]
fn bounds_hold() {
    let memory = Memory::new();
    addresses(&memory, &[10 << 20; 4]);
    assert_eq!((memory.peak.load(Relaxed), memory.kept.load(Relaxed)), (40 << 20, 40 << 20));
    // Blocks of another size: what is in use and what is kept stay near the peak.
    addresses(&memory, &[6 << 20; 6]);
    assert!(memory.kept.load(Relaxed) <= 45 << 20);
    // Nothing is allowed: nothing is kept.
    memory.allowed.store(0, Relaxed);
    memory.since.store(0, Relaxed);
    memory.trim(0);
    addresses(&memory, &[1 << 20; 3]);
    assert_eq!(memory.kept.load(Relaxed), 0);
    // Half of what would be available without them.
    let memory = Memory::new();
    addresses(&memory, &[1 << 20]);
    assert!(memory.allowed.load(Relaxed) <= available() / 2 + (1 << 28) && memory.allowed.load(Relaxed) > 0);
}

/// As in a process that was forked while another thread had the lists.
#[test]
fn lists_that_are_held_are_done_without() {
    let memory = Memory::new();
    addresses(&memory, &[LARGE; 3]);
    let held = memory.lists.lock().unwrap();
    addresses(&memory, &[LARGE; 5]);
    drop(held);
    assert_eq!((memory.live.load(Relaxed), memory.kept.load(Relaxed)), (0, 3 * LARGE));
}

#[test]
fn many_threads() {
    let memory = Memory::new();
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let memory = &memory;
            scope.spawn(move || {
                for round in 0..300 {
                    let size = LARGE * (1 + (round * 7 + thread) % 40);
                    // SAFETY: a block of this size, given back once.
                    unsafe {
                        let block = memory.alloc(layout(size));
                        block.write_bytes(thread as u8, size);
                        assert!((0..size).step_by(4099).all(|i| *block.add(i) == thread as u8));
                        memory.dealloc(block, layout(size));
                    }
                }
            });
        }
    });
    assert_eq!(memory.live.load(Relaxed), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn growing_keeps_the_content(sizes in proptest::collection::vec(1usize..300_000, 1..8)) {
        let memory = Memory::new();
        // SAFETY: sizes are not zero; the block goes back once, with its last size.
        unsafe {
            let mut size = 16;
            let mut block = memory.alloc(layout(size));
            block.write_bytes(9, size);
            let mut written = size;
            for new in sizes {
                block = memory.realloc(block, layout(size), new);
                written = written.min(new);
                prop_assert!((0..written).all(|i| *block.add(i) == 9));
                block.write_bytes(9, new);
                (size, written) = (new, new);
            }
            memory.dealloc(block, layout(size));
        }
        prop_assert_eq!(memory.live.load(Relaxed), 0);
    }

    #[test]
    fn parts_are_filled(length in 0usize..5000, size in 1usize..700) {
        let made = filled(length, size, 0u32, |number, part| {
            assert!(part.iter().all(|v| *v == 0));
            part.iter_mut().enumerate().for_each(|(i, slot)| *slot = (number * size + i) as u32);
        });
        prop_assert_eq!(made, (0..length as u32).collect::<Vec<u32>>());
    }
}
