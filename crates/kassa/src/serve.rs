//! `kassa serve`: the bank, open for business until told to stop.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;

use axum::Router;
use bank::Role;
use edge::local_certificate;
use edge::{Certificate, Server};
use engine::Engine;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::bank_folder::{BankFolder, Open, spelled};
use crate::failure::Failure;
use crate::output::Output;

/// `kassa serve`
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) bank: Open,
}

pub(crate) fn run(command: &Serve, output: &Output) -> Result<(), Failure> {
    let signals = Signals::heed()?;
    let folder = BankFolder::find(&command.bank)?;
    local_certificate::make_where_missing(&folder.folder, &folder.config.edge)?;
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
    edge::allow_many_files();
    let Signals { runtime, mut hangup, at_terminal } = signals;
    let workers = edge::Workers::start()?;
    let served = runtime.block_on(async {
        let server = Server::bind(folder.config.edge.clone()).await;
        let server = server.map_err(|error| Failure::new(error.to_string()))?;
        let router = api::router(&folder.config.server, engine.clone(), server.guard(), more);
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
