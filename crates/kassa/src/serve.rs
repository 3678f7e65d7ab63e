//! `kassa serve`: the bank, open for business until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use axum::Router;
use engine::Engine;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use server::Server;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::bank_folder::{BankFolder, Open};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::Output;
use crate::{open_files, tls};

/// `kassa serve`
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    bank: Open,
}

pub(crate) fn run(command: &Serve, output: &Output) -> Result<(), Failure> {
    let folder = BankFolder::find(&command.bank)?;
    tls::make_where_missing(&folder.folder, &folder.config)?;
    let engine = folder.open(&command.bank, output)?;
    serve(engine, folder.config, Router::new(), output, |_| String::new())
}

/// Serves the bank, and `more`, until SIGINT, SIGTERM or SIGHUP, or until the engine fails. A second signal ends the
/// process at once.
pub(crate) fn serve(
    engine: Engine,
    config: Config,
    more: Router,
    output: &Output,
    welcome: impl FnOnce(SocketAddr) -> String,
) -> Result<(), Failure> {
    open_files::allow_many();
    let runtime = runtime()?;
    engine.answer_on(runtime.handle().clone());
    let served = runtime.block_on(async {
        let server = Server::bind_with(config.server, engine.clone(), more).await;
        let server = server.map_err(|error| Failure::new(error.to_string()))?;
        tracing::info!("opened: {}", engine.opening());
        let name = engine.peek(|state| state.founding().map(|founding| founding.name.clone()))?;
        let address = server.local_addr();
        output.line(format_args!("{} is open at https://{address} — Ctrl-C closes it.", name.unwrap_or_default()))?;
        let welcome = welcome(address);
        if !welcome.is_empty() {
            output.line(format_args!("\n{welcome}"))?;
        }
        let mut failure = None;
        let stop = async {
            tokio::select! {
                failed = engine.failed() => failure = Some(failed),
                asked = asked_to_stop() => {
                    if asked.is_ok() {
                        tracing::info!("closing: requests under way are finished, new ones are not accepted");
                        tokio::spawn(async {
                            if asked_to_stop().await.is_ok() {
                                tracing::warn!("told to stop a second time: ending at once");
                                std::process::exit(130);
                            }
                        });
                    }
                }
            }
        };
        server.run(stop).await;
        match failure {
            Some(failure) => Err(Failure::new(failure.to_string())),
            None => Ok(()),
        }
    });
    engine.stop();
    served
}

/// The runtime that serves. Each of its workers has a processor of its own, where there are as many: on a busy machine
/// the system otherwise leaves two on the same for a while, and another without work. Where that can't be had, all works
/// as well, if a little slower.
fn runtime() -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all();
    if let (Ok(all), Ok(workers)) = (sched_getaffinity(None), thread::available_parallelism()) {
        let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|one| all.is_set(*one)).collect();
        // A container may have a share of the processors only, which are then not its own.
        if workers.get() == processors.len() {
            let started = AtomicUsize::new(0);
            builder.worker_threads(workers.get()).on_thread_start(move || {
                // The workers are the first threads that the runtime starts. Those after them may wait for something, and
                // go where they like, as the worker that started them may not.
                let own = processors.get(started.fetch_add(1, Ordering::Relaxed)).map_or(all, |processor| {
                    let mut own = CpuSet::new();
                    own.set(*processor);
                    own
                });
                let _ = sched_setaffinity(None, &own);
            });
        }
    }
    builder.build()
}

/// Resolves when the process is told to stop: by SIGINT, SIGTERM or SIGHUP.
pub(crate) async fn asked_to_stop() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        // The terminal was closed.
        _ = hangup.recv() => {}
    }
    Ok(())
}
