//! The binary, run as a user runs it, and a plain HTTP client to ask it.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eventmesh_catalog::api::dto::EventMesh;

use super::polling::Caller;
use super::secrets::Secrets;

/// How long anything may take that should take no time. It is never waited for when things go well.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary with these arguments and no settings from the environment, the cluster of whoever runs the tests included.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = unconfigured(binary());
    command.args(arguments);
    command
}

/// The binary that is tested: `EVENTMESH_TEST_BINARY` names another one than was built with the test.
pub fn binary() -> OsString {
    let built = || env!("CARGO_BIN_EXE_eventmesh-catalog").into();
    std::env::var_os("EVENTMESH_TEST_BINARY").unwrap_or_else(built)
}

/// A program that finds no settings of the binary in its environment, nor the cluster of whoever runs the tests.
pub fn unconfigured(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("EVENTMESH_") || name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent");
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// A file that keeps whoever opens it until somebody writes.
pub fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(path).status().unwrap().success());
}

/// A running service. It ends with the test, and has told no token until then.
pub struct Service {
    child: Child,
    log: Arc<Mutex<String>>,
    logging: Option<JoinHandle<()>>,
    pub address: String,
    /// `http` or `https`.
    pub scheme: String,
    pub admin: String,
    /// The made-up token, if there is one.
    pub token: String,
    secrets: Secrets,
}

impl Service {
    /// Serves a folder with a made-up token.
    pub fn of(folder: &Path) -> Self {
        Self::start(&["--manifests", folder.to_str().unwrap(), "--dev-token"])
    }

    /// Serves with these arguments on free ports, and reads from the greeting where.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(&[], arguments)
    }

    /// The same, with variables of the environment.
    pub fn start_in(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = command(&[]);
        command.envs(environment.iter().copied());
        Self::start_by(command, arguments)
    }

    /// The same, by another command that takes the arguments of the binary.
    pub fn start_by(mut command: Command, arguments: &[&str]) -> Self {
        let free = ["serve", "--admin-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
        let free = if arguments.contains(&"--listen") { &free[..3] } else { &free[..] };
        command.args(free).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let greeting = lines.next().expect("a greeting");
        let after = |text: &str, mark: &str| -> String {
            let rest = text.split(mark).nth(1).unwrap_or_default();
            rest.chars().take_while(|it| !" )'".contains(*it)).collect()
        };
        let token = if arguments.contains(&"--dev-token") { lines.nth(1).unwrap() } else { String::new() };
        let log = Arc::<Mutex<String>>::default();
        let (lines, told) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        // Somebody has to read it, or the service waits.
        let logging = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = told.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let (secrets, token) = (Secrets::of_kubeconfigs(arguments), after(&token, "Bearer "));
        secrets.remember(&token);
        Self {
            child,
            log,
            logging: Some(logging),
            address: after(&greeting, "://"),
            scheme: after(&greeting.replace("://", " "), "Serving "),
            admin: after(&greeting, "metrics at http://"),
            token,
            secrets,
        }
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.get_as(&self.token, path, headers)
    }

    /// Asks with another token than the made-up one.
    pub fn get_as(&self, token: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.secrets.remember(token);
        let authorization = format!("Bearer {token}");
        let answer = get(&self.address, path, &[&[("Authorization", authorization.as_str())], headers].concat());
        answer.keeps(token);
        answer
    }

    /// Somebody with a token who keeps the connection.
    pub fn caller(&self, token: &str) -> Caller {
        self.secrets.remember(token);
        Caller::new(&self.address, token)
    }

    pub fn mesh(&self) -> EventMesh {
        let answer = eventually("an answer", || Some(self.get("/v1/getEventMesh", &[])).filter(|it| it.status != 503));
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    pub fn admin(&self, path: &str) -> Answer {
        get(&self.admin, path, &[])
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let signal = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(signal.unwrap().success());
    }

    /// Waits for the end, and gives what was logged.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = eventually("the end", || self.child.try_wait().unwrap());
        self.logging.take().unwrap().join().unwrap();
        (status, self.log())
    }

    /// What has been logged until now.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The log of the service:\n{}", self.log());
        }
        // One that has ended tells nothing any more.
        let told = matches!(self.child.try_wait(), Ok(None)).then(|| {
            let told = ["/readyz?verbose", "/metrics"].map(|it| try_get(&self.admin, it, &[]));
            told.into_iter().flatten().map(|it| it.body).collect::<String>()
        });
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.logging.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            self.secrets.are_not_in("the log", &self.log());
            self.secrets.are_not_in("what is told to those who run the service", &told.unwrap_or_default());
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(it, _)| it.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// It does not tell the token that was asked with.
    pub fn keeps(&self, token: &str) {
        if self.status >= 400 {
            let secrets = Secrets::default();
            secrets.remember(token);
            secrets.are_not_in("an answer", &format!("{}\n{}", self.head, self.body));
        }
    }
}

/// A GET on a connection of its own.
pub fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    try_get(address, path, headers).unwrap()
}

fn try_get(address: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, head: head.replace('\r', ""), body: body.into() })
}

/// Asks again until there is something, and fails when patience ends.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
