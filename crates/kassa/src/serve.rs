//! `kassa serve`: the bank, open for business until told to stop.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::num::NonZero;
use std::thread::{self, JoinHandle};

use axum::Router;
use bank::Role;
use edge::{Certificate, Server};
use engine::Engine;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::bank_folder::{BankFolder, Open, spelled};
use crate::failure::Failure;
use crate::output::Output;
use crate::{open_files, tls};

/// `kassa serve`
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) bank: Open,
}

pub(crate) fn run(command: &Serve, output: &Output) -> Result<(), Failure> {
    let signals = Signals::heed()?;
    let folder = BankFolder::find(&command.bank)?;
    tls::make_where_missing(&folder.folder, &folder.config)?;
    let engine = folder.open(&command.bank, output)?;
    serve(engine, &folder, Router::new(), output, signals, |_| String::new())
}

/// Serves the bank, and `more`, until SIGINT or SIGTERM, or until the engine fails. A second signal ends the process at
/// once. At SIGHUP the settings are read again.
pub(crate) fn serve(
    engine: Engine,
    folder: &BankFolder,
    more: Router,
    output: &Output,
    signals: Signals,
    welcome: impl FnOnce(SocketAddr) -> String,
) -> Result<(), Failure> {
    open_files::allow_many();
    let Signals { runtime, mut hangup, at_terminal } = signals;
    let workers = Workers::start()?;
    let served = runtime.block_on(async {
        let server = Server::bind(folder.config.edge.clone()).await;
        let server = server.map_err(|error| Failure::new(error.to_string()))?;
        let router = server::router(&folder.config.server, engine.clone(), server.guard(), more);
        let router = router.map_err(|error| Failure::new(error.to_string()))?;
        tracing::info!("opened: {}", engine.opening());
        warn_without_an_operator(&engine, folder)?;
        let name = engine.peek(|state| state.founding().map(|founding| founding.name.clone()))?;
        let address = server.local_addr();
        // From before anybody is told that it is open: who stops it at once must find it listening.
        let mut stop_signals = StopSignals::heed()?;
        output
            .announce(format_args!("{} is open at https://{address} — Ctrl-C closes it.", name.unwrap_or_default()))?;
        let welcome = welcome(address);
        if !welcome.is_empty() {
            output.announce(format_args!("\n{welcome}"))?;
        }
        let (mut failure, certificate) = (None, server.certificate());
        let stop = async {
            tokio::select! {
                failed = engine.failed() => failure = Some(failed),
                () = heed_hangups(&mut hangup, at_terminal, folder, &certificate) => close(stop_signals),
                () = stop_signals.next() => close(stop_signals),
            }
        };
        server.run_on(router, &workers.handles, stop).await;
        match failure {
            Some(failure) => Err(Failure::new(failure.to_string())),
            None => Ok(()),
        }
    });
    // On a thread that may wait, so that a second signal is heard meanwhile.
    let stopping = runtime.spawn_blocking(move || {
        engine.stop();
        workers.stop();
    });
    let stopped = runtime.block_on(stopping).map_err(|error| Failure::new(error.to_string()));
    served.and(stopped)
}

/// Says that the bank closes, and ends the process at the next signal.
fn close(mut stop_signals: StopSignals) {
    tracing::info!("closing: requests under way are finished, new ones are not accepted");
    tokio::spawn(async move {
        stop_signals.next().await;
        tracing::warn!("told to stop a second time: ending at once");
        std::process::exit(130);
    });
}

/// A bank that an import founded has nobody who runs it.
fn warn_without_an_operator(engine: &Engine, folder: &BankFolder) -> Result<(), Failure> {
    if !engine.peek(|state| state.users().iter().any(|user| user.role == Role::Operator))? {
        let add = spelled(&["operator", "add", "NAME", "--data"], &folder.folder);
        tracing::warn!("nobody runs this bank yet: stop it, and add an operator with `{add}`");
    }
    Ok(())
}

/// The signals that a server heeds, from before its bank is opened: being told to read the settings again must not end
/// it meanwhile.
pub(crate) struct Signals {
    runtime: Runtime,
    hangup: Signal,
    /// `true` if somebody sat at a terminal when it was started.
    at_terminal: bool,
}

impl Signals {
    pub(crate) fn heed() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let hangup = {
            let _entered = runtime.enter();
            signal(SignalKind::hangup())?
        };
        Ok(Self { runtime, hangup, at_terminal: io::stdin().is_terminal() })
    }
}

/// Reads the settings again at each SIGHUP. Resolves where it came because the terminal was closed.
async fn heed_hangups(hangup: &mut Signal, at_terminal: bool, folder: &BankFolder, certificate: &Certificate) {
    while hangup.recv().await.is_some() {
        // A terminal that was closed is none any more.
        if at_terminal && !io::stdin().is_terminal() {
            return;
        }
        match read_again(folder, certificate) {
            Ok(waiting) if waiting.is_empty() => {
                tracing::info!("read again: the settings, the certificate and its key")
            }
            Ok(waiting) => tracing::warn!(
                "read again: the settings, the certificate and its key; what was changed of these takes effect when \
                 the server is started again: {}",
                waiting.join(", ")
            ),
            Err(failure) => tracing::error!("told to read the settings again, and all stays as it was: {failure}"),
        }
    }
    std::future::pending().await
}

/// Takes on what can change while the server runs: its certificate, and how much is logged. Gives the settings that
/// were changed and wait for the next start. A few small files are read, which the accepting of connections can wait for.
fn read_again(folder: &BankFolder, certificate: &Certificate) -> Result<Vec<&'static str>, Failure> {
    let fresh = folder.config_again()?;
    let replaced = certificate.replace(&fresh.edge.certificate, &fresh.edge.private_key);
    replaced.map_err(|error| Failure::new(error.to_string()))?;
    folder.log.set(fresh.log.level);
    Ok(folder.config.waiting_for_a_start(&fresh))
}

/// Number of threads that all workers together may start for what waits or takes long.
const MAX_WAITING_THREADS: usize = 512;

/// The threads that serve, each with a runtime of its own, on which a connection stays: what it needs is then found in
/// one processor's cache. Each has a processor of its own, where there are as many: on a busy machine the system otherwise
/// leaves two on the same for a while, and another without work. Where that can't be had, all works as well, if a little
/// slower.
struct Workers {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    /// They work until this is dropped.
    open: watch::Sender<()>,
}

impl Workers {
    fn start() -> io::Result<Self> {
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
    fn stop(self) {
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

/// SIGINT and SIGTERM, which tell the process to stop; heeded from when this is made.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn heed() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Resolves at the next of them.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Resolves when the process is told to stop, or loses its terminal: for what has no settings to read again.
pub(crate) async fn asked_to_end() -> io::Result<()> {
    let (mut stop_signals, mut hangup) = (StopSignals::heed()?, signal(SignalKind::hangup())?);
    tokio::select! {
        () = stop_signals.next() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
