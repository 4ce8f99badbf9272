//! Parse, run, exit code: 0 done, 1 found something or failed, 2 a configuration that cannot work.

use std::process::ExitCode;

use eventmesh_catalog::config::{self, Refusal};

/// Gives back what a mesh that keeps changing leaves behind: with the allocator of GNU's C library a service grows for
/// hours while what it holds stays the same.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match config::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Refusal::Usage(usage)) => usage.exit(),
        Err(Refusal::Config(error)) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match eventmesh_catalog::app::run(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure:#}");
            ExitCode::from(eventmesh_catalog::app::exit_code(&failure))
        }
    }
}
