//! Parse, run, exit code: 0 done, 1 found something or failed, 2 a configuration that cannot work.

use std::process::ExitCode;

use clap::Parser as _;
use eventmesh_catalog::config::Cli;

fn main() -> ExitCode {
    match eventmesh_catalog::app::run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure:#}");
            ExitCode::from(eventmesh_catalog::app::exit_code(&failure))
        }
    }
}
