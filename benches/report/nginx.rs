//! nginx, serving an answer as a file: started by hand, with a configuration and a folder of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx; it ends when it is dropped.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    /// Where the same file is read into memory and sent from there, as by all who have not a file.
    pub copying: SocketAddr,
    _folder: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Nginx {
    /// Serves these bytes at the path, as a file that has this encoding: one in gzip stands beside another, as
    /// `gzip_static` wants it.
    ///
    /// # Errors
    /// When there is no nginx, or it does not start.
    pub fn serve(path: &str, bytes: &[u8], encoding: &str) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|it| it.to_string())?;
        let file = folder.path().join("files").join(path.trim_start_matches('/'));
        write(&file, bytes)?;
        if encoding == "gzip" {
            write(&file.with_extension("gz"), bytes)?;
        }
        let [address, copying] = free_addresses().map_err(|it| it.to_string())?;
        let configuration = folder.path().join("nginx.conf");
        let says = if encoding == "zstd" { "add_header Content-Encoding zstd;" } else { "" };
        write(&configuration, configured(folder.path(), address, copying, says).as_bytes())?;
        let log = folder.path().join("error.log");
        let mut command = Command::new("nginx");
        command.arg("-e").arg(&log).arg("-p").arg(folder.path()).arg("-c").arg(&configuration);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("nginx cannot be started: {error} (apt-get install nginx-light)"))?;
        let mut nginx = Self { child, address, copying, _folder: folder };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > PATIENCE || nginx.child.try_wait().is_ok_and(|it| it.is_some()) {
                return Err(format!("nginx does not start: {}", std::fs::read_to_string(log).unwrap_or_default()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(nginx)
    }

    /// Where Linux tells how long it ran.
    pub fn times(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/schedstat", self.child.id()))
    }

    /// What it says of its version; nothing where there is none.
    pub fn version() -> Option<String> {
        let told = Command::new("nginx").arg("-v").output().ok()?;
        let told = String::from_utf8_lossy(&told.stderr).trim().to_owned();
        Some(told.trim_start_matches("nginx version: ").to_owned())
    }
}

fn free_addresses() -> std::io::Result<[SocketAddr; 2]> {
    // Both at once, so that they differ.
    let [one, other] = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)));
    Ok([one?.local_addr()?, other?.local_addr()?])
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    std::fs::create_dir_all(file.parent().unwrap_or(file)).map_err(told)?;
    std::fs::write(file, bytes).map_err(told)
}

/// One process, as the others have one thread; nothing written; files kept open.
fn configured(folder: &Path, address: SocketAddr, copying: SocketAddr, says: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/pid;
events {{ worker_connections 1024; use epoll; }}
http {{
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; gzip_static on; default_type application/json;
    keepalive_requests 100000000; open_file_cache max=10 inactive=1h; open_file_cache_valid 1h;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen {address}; root {folder}/files; {says} }}
    server {{ listen {copying}; root {folder}/files; sendfile off; output_buffers 2 512k; {says} }}
}}
"
    )
}
