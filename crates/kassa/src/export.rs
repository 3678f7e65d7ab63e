//! `kassa export`: the books for other programs, as `interchange` writes them.

use std::io::{self, BufWriter, IsTerminal};
use std::path::PathBuf;

use engine::Opener;
use indicatif::ProgressBar;
use interchange::export::{self, Books, Exported};

use crate::bank_folder::{BankFolder, Open};
use crate::failure::Failure;
use crate::output::Output;

/// `kassa export`
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) bank: Open,
    /// Format to write: a journal for hledger, a CSV line for each entry, or a JSON object for each event.
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write, in place of standard output. While it is being written it is called FILE.part.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long, requires = "out")]
    force: bool,
    /// Open the personal fields, names and texts, which are left out otherwise. Erasing a person later does not reach
    /// into what was exported.
    #[arg(long)]
    personal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Hledger,
    Csv,
    Jsonl,
}

impl From<Format> for export::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Hledger => Self::Hledger,
            Format::Csv => Self::Csv,
            Format::Jsonl => Self::Jsonl,
        }
    }
}

pub(crate) fn run(export: &Export, output: &Output) -> Result<(), Failure> {
    let folder = BankFolder::find(&export.bank)?;
    let replay = folder.replay(export.bank.accept_loss)?;
    let opener = export.personal.then(|| Opener::new(&folder.folder, &folder.master)).transpose()?;
    let (books, format) = (Books::new(replay, opener), export.format.into());
    let last_event = books.last_event();
    let is_beside_a_bar = export.out.is_some() || !io::stdout().is_terminal();
    let bar = if is_beside_a_bar { output.bar("events", last_event) } else { ProgressBar::hidden() };
    let mut progress = |event| bar.set_position(event);
    let exported = match &export.out {
        None => books.write(format, &mut BufWriter::new(io::stdout().lock()), &mut progress),
        Some(path) => books.write_file(format, path, export.force, &mut progress),
    };
    bar.finish_and_clear();
    match (exported?, &export.out) {
        (Exported::Whole, Some(path)) => {
            output.line(format_args!("{last_event} events are exported to {}.", path.display()))
        }
        (Exported::Whole | Exported::InPart, _) => Ok(()),
    }
}
