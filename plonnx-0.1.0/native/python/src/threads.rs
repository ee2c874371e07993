//! Where kernels run: on rayon's own threads, and in a forked process, which has none of them, on new ones.
//!
//! fork copies a process with one thread. A kernel that hands its tasks to the threads of the parent would wait for ever, so
//! a process that is not the one whose threads they are makes a pool when it first runs a kernel.

use std::process;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::SeqCst};
use std::sync::Mutex;

use pyo3::marker::Ungil;
use pyo3::Python;

/// The process that rayon's own threads belong to: the first that runs a kernel (0: none did yet).
static OWNER: AtomicU32 = AtomicU32::new(0);

/// The pool of a forked process. Not a value under a lock: a thread of the parent may have held it when it was forked.
static FORKED: AtomicPtr<Pool> = AtomicPtr::new(null_mut());

struct Pool {
    process: u32,
    threads: rayon::ThreadPool,
    /// One kernel at a time: what waits inside the pool takes up other tasks, and must not find another kernel's, which may
    /// want a lock that its own holds.
    turn: Mutex<()>,
}

/// A kernel, with the GIL released.
pub fn run<R: Send + Ungil>(py: Python<'_>, kernel: impl FnOnce() -> R + Send + Ungil) -> R {
    py.detach(|| {
        let process = process::id();
        if OWNER.compare_exchange(0, process, SeqCst, SeqCst).map_or_else(|owner| owner == process, |_| true) {
            return kernel();
        }
        let pool = pool(process);
        let _turn = pool.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        pool.threads.install(kernel)
    })
}

/// This process's pool. That of a parent is left as it is: there are no threads to end.
fn pool(process: u32) -> &'static Pool {
    loop {
        let known = FORKED.load(SeqCst);
        // SAFETY: pools are never freed.
        if let Some(pool) = unsafe { known.as_ref() }.filter(|pool| pool.process == process) {
            return pool;
        }
        let threads = rayon::ThreadPoolBuilder::new().build().expect("threads can be started");
        let made = Box::into_raw(Box::new(Pool { process, threads, turn: Mutex::new(()) }));
        if FORKED.compare_exchange(known, made, SeqCst, SeqCst).is_err() {
            // SAFETY: another thread was first, nobody has seen this one.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}
