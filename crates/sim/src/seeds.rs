//! `kassa-sim run`: many seeds, as many at a time as there are cores, and for the first that fails the few commands that
//! bring it about.

use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sim::{Failure, Plan, Summary, shrink};

/// `kassa-sim run`
#[derive(Debug, clap::Args)]
pub(crate) struct RunOptions {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Number of commands each.
    #[arg(long, default_value_t = 100_000)]
    steps: u64,
    /// Number of seeds run at a time; one for each core where it is not said.
    #[arg(long)]
    jobs: Option<usize>,
    /// Never restart the bank. It comes to the same.
    #[arg(long)]
    no_restarts: bool,
}

/// State shared by the threads: the next seed, and what those before came to.
struct Progress {
    next: AtomicU64,
    failed: Mutex<Option<Failure>>,
    /// The processor time of all threads: what a core does by itself, however many others want it.
    busy: Mutex<Duration>,
}

#[allow(clippy::print_stdout, reason = "a program for the terminal")]
impl RunOptions {
    pub(crate) fn run(&self) -> Result<(), String> {
        let jobs = self.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
        let progress = Progress { next: AtomicU64::new(0), failed: Mutex::new(None), busy: Mutex::new(Duration::ZERO) };
        let started = Instant::now();
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.work(&progress));
            }
        });
        let took = started.elapsed();
        let failed = progress.failed.lock().map_err(|error| error.to_string())?.take();
        if let Some(failure) = failed {
            return Err(self.explain(&failure));
        }
        let steps = self.seeds.saturating_mul(self.steps);
        let per_second = |time: Duration| steps as f64 / time.as_secs_f64().max(f64::EPSILON);
        let busy = *progress.busy.lock().map_err(|error| error.to_string())?;
        println!(
            "{steps} steps in {:.2} s: {:.0} steps/s with {jobs} at a time; {:.0} steps/s of one core's time",
            took.as_secs_f64(),
            per_second(took),
            per_second(busy)
        );
        Ok(())
    }

    fn plan(&self, seed: u64) -> Plan {
        Plan { restarts: !self.no_restarts, ..Plan::new(seed, self.steps) }
    }

    /// Runs seeds until there are no more, or one has failed.
    fn work(&self, progress: &Progress) {
        let fails = || progress.failed.lock().is_ok_and(|failed| failed.is_some());
        while !fails() {
            let place = progress.next.fetch_add(1, Ordering::Relaxed);
            if place >= self.seeds {
                return;
            }
            let started = processor_time();
            let seed = self.seed.saturating_add(place);
            match self.plan(seed).run() {
                Ok(Summary { events, digest, .. }) => println!("seed {seed}: {events} events, digest {digest:016x}"),
                Err(failure) => {
                    // Seeds are begun in order, and those begun are finished: the first is the first, whoever is quicker.
                    if let Ok(mut failed) = progress.failed.lock()
                        && failed.as_ref().is_none_or(|other| failure.seed < other.seed)
                    {
                        *failed = Some(failure);
                    }
                }
            }
            if let Ok(mut busy) = progress.busy.lock() {
                *busy += processor_time().saturating_sub(started);
            }
        }
    }

    /// Says what failed, how to have it again, and which few commands are enough for it.
    fn explain(&self, failure: &Failure) -> String {
        let Failure { seed, step, .. } = failure;
        let flag = if self.no_restarts { " --no-restarts" } else { "" };
        let again = format!("kassa-sim run --seed {seed} --seeds 1 --steps {step}{flag}");
        let plan = Plan { steps: *step, ..self.plan(*seed) };
        // A bank that panics has said so once; while it is shrunk it does so hundreds of times.
        panic::set_hook(Box::new(|_| {}));
        let explained = match shrink::shrink(plan) {
            Some(shrunk) if shrunk.replayed == *failure => format!("It is the same every time. {shrunk}"),
            Some(shrunk) => format!("It is NOT the same every time; again it was: {}. {shrunk}", shrunk.replayed),
            None => "It could NOT be had again.".to_owned(),
        };
        format!("{failure}\nTo have it again: {again}\n{explained}")
    }
}

/// The processor time that this thread has had.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
