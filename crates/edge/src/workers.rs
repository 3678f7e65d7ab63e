//! The threads that serve, one for each processor.

use std::io;
use std::num::NonZero;
use std::thread::{self, JoinHandle};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Number of threads that all workers together may start for what waits or takes long.
const MAX_WAITING_THREADS: usize = 512;

/// The threads that serve, each with a runtime of its own, on which a connection stays: what it needs is then found in
/// one processor's cache. Each has a processor of its own, where there are as many: on a busy machine the system otherwise
/// leaves two on the same for a while, and another without work. Where that can't be had, all works as well, if a little
/// slower.
pub struct Workers {
    /// Their runtimes, one for each processor.
    pub handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    /// They work until this is dropped.
    open: watch::Sender<()>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// Fails if the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let (all, count) = (sched_getaffinity(None), thread::available_parallelism());
        let (all, count) = (all.ok(), count.map_or(1, NonZero::get));
        let mut processors: Vec<usize> = Vec::new();
        processors.extend(all.iter().flat_map(|all| (0..CpuSet::MAX_CPU).filter(|one| all.is_set(*one))));
        // A container may have a share of the processors only, which are then not its own.
        if processors.len() != count {
            processors.clear();
        }
        let (open, closed) = watch::channel(());
        let mut workers = Self { handles: Vec::new(), threads: Vec::new(), open };
        for number in 0..count {
            let mut builder = Builder::new_current_thread();
            // The threads that it starts may wait for something, and go where they like, as the worker itself may not.
            builder.enable_all().on_thread_start(move || all.iter().for_each(allow));
            builder.max_blocking_threads((MAX_WAITING_THREADS / count).max(16));
            let runtime = builder.build()?;
            workers.handles.push(runtime.handle().clone());
            let (processor, mut closed) = (processors.get(number).copied(), closed.clone());
            let work = move || {
                processor.iter().for_each(|processor| {
                    let mut own = CpuSet::new();
                    own.set(*processor);
                    allow(&own);
                });
                // An error means that it was dropped.
                let _ = runtime.block_on(closed.changed());
            };
            workers.threads.push(thread::Builder::new().name("worker".to_owned()).spawn(work)?);
        }
        Ok(workers)
    }

    /// Ends them, when nothing is left to do.
    pub fn stop(self) {
        drop(self.open);
        for thread in self.threads {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Lets this thread run on these processors, if the system does.
fn allow(processors: &CpuSet) {
    let _ = sched_setaffinity(None, processors);
}
