//! The binary over TLS, asked by clients as they are and as they should not be.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use support::process::{Service, make_fifo, run};
use support::tls::{
    Authority, CONTINUATION, Connection, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, HTTP1, HTTP2,
    INITIAL_WINDOW_SIZE, Issued, RST_STREAM, connect, frame, get_head, next_frame, preface, shown,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

const MESH: &str = "/v1/getEventMesh";
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until it is so.
async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !ask().await {
        assert!(began.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder with a certificate and its key.
struct Folder {
    folder: TempDir,
    authority: Authority,
}

impl Folder {
    fn new() -> Self {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
        authority.issue().write(folder.path());
        Self { folder, authority }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).unwrap();
        self.text(name)
    }

    fn serve(&self, more: &[&str]) -> Service {
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples/shop");
        let (certificate, key) = (self.text("tls.crt"), self.text("tls.key"));
        let arguments = ["--manifests", manifests.to_str().unwrap(), "--dev-token"];
        Service::start(&[&arguments, &["--tls-cert", &certificate, "--tls-key", &key][..], more].concat())
    }
}

/// What is answered to the holder of the token, once all is read.
async fn status(connection: &mut Connection, service: &Service) -> u16 {
    let authorization = format!("Bearer {}", service.token);
    let mut status = 503;
    until("an answer", async || {
        status = connection.get(MESH, &[("authorization", &authorization)]).await.unwrap().0;
        status != 503
    })
    .await;
    status
}

/// That somebody is served on a new connection.
async fn serves(service: &Service, client: &ClientConfig) {
    assert_eq!(status(&mut Connection::open(&service.address, client).await, service).await, 200);
}

/// Who cannot connect finds out when connecting or when asking.
async fn refused(service: &Service, client: &ClientConfig) -> bool {
    let Ok(stream) = connect(&service.address, client).await else { return true };
    let Ok((mut connection, _)) = Connection::start(stream).await else { return true };
    connection.get(MESH, &[]).await.is_err()
}

async fn expect_shown(service: &Service, client: &ClientConfig, issued: &Issued) {
    until("the certificate", async || {
        shown(&connect(&service.address, client).await.unwrap()) == *issued.certificate.der()
    })
    .await;
}

#[tokio::test]
async fn client_and_service_agree_on_a_protocol() {
    let folder = Folder::new();
    let service = folder.serve(&[]);
    assert_eq!(service.scheme, "https");
    assert_eq!(service.admin("/livez").body, "ok\n", "the admin address is as it was");
    let protocols = [
        (vec![HTTP2, HTTP1], Some(HTTP2)),
        (vec![HTTP1, HTTP2], Some(HTTP2)),
        (vec![HTTP1], Some(HTTP1)),
        // Whoever does not say speaks what everybody speaks.
        (vec![], None),
    ];
    for (offered, chosen) in protocols {
        let stream = connect(&service.address, &folder.authority.client(&offered)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
        let (mut connection, _) = Connection::start(stream).await.unwrap();
        let (refusal, problem) = connection.get(MESH, &[]).await.unwrap();
        assert!(refusal == 401 && problem.contains("\"requestId\""), "{problem}");
        assert_eq!(status(&mut connection, &service).await, 200);
    }
    assert!(connect(&service.address, &folder.authority.client(&[b"h3"])).await.is_err());
    assert!(connect(&service.address, &Authority::new().client(&[HTTP2])).await.is_err(), "it is not another");
    service.signal("TERM");
    let (status, log) = service.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// As Kubernetes mounts a secret: the files are links through a folder that is a link, which is replaced at once.
#[tokio::test]
async fn a_new_certificate_is_served_to_new_connections() {
    let folder = Folder::new();
    let client = folder.authority.client(&[HTTP2]);
    let [old, new] = ["..old", "..new"].map(|name| {
        fs::create_dir(folder.path(name)).unwrap();
        let issued = folder.authority.issue();
        issued.write(&folder.path(name));
        issued
    });
    symlink("..old", folder.path("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        fs::remove_file(folder.path(file)).unwrap();
        symlink(format!("..data/{file}"), folder.path(file)).unwrap();
    }
    let service = folder.serve(&[]);
    expect_shown(&service, &client, &old).await;
    let mut before = Connection::open(&service.address, &client).await;
    assert_eq!(status(&mut before, &service).await, 200);
    symlink("..new", folder.path("..data_tmp")).unwrap();
    fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    expect_shown(&service, &client, &new).await;
    assert_eq!(status(&mut before, &service).await, 200, "who is there is not sent away");
    assert!(!service.log().contains("ERROR"), "{}", service.log());
    until("the log", async || service.log().contains("TLS certificate and key read")).await;
    assert_eq!(service.log().matches("TLS certificate and key read").count(), 1, "only what is new is told");
}

#[tokio::test]
async fn what_cannot_be_used_is_told_and_passed_over() {
    let folder = Folder::new();
    let client = folder.authority.client(&[HTTP2]);
    let service = folder.serve(&[]);
    let first = shown(&connect(&service.address, &client).await.unwrap());
    let other = folder.authority.issue();
    let whole = other.certificate.pem();
    let half_a_key = other.key.serialize_pem()[..100].to_owned();
    let (certificate, key) = (folder.text("tls.crt"), folder.text("tls.key"));
    let cases = [
        ("tls.crt", &whole[..whole.len() / 2], format!("--tls-cert {certificate} is not PEM, or not all of it")),
        ("tls.crt", &whole, format!("--tls-key {key} is not the private key of the certificate of --tls-cert")),
        ("tls.key", &half_a_key, format!("--tls-key {key} is not PEM, or not all of it")),
    ];
    for (file, content, message) in cases {
        folder.write(file, content);
        until(&message, async || service.log().contains(&message)).await;
        assert_eq!(shown(&connect(&service.address, &client).await.unwrap()), first, "{message}");
    }
    make_fifo(&folder.path("fifo"));
    fs::rename(folder.path("fifo"), folder.path("tls.key")).unwrap();
    let none = format!("--tls-key {key} is not a regular file");
    until(&none, async || service.log().contains(&none)).await;
    serves(&service, &client).await;
    fs::remove_file(folder.path("tls.key")).unwrap();
    let gone = format!("--tls-key {key}: No such file or directory");
    until(&gone, async || service.log().contains(&gone)).await;
    serves(&service, &client).await;

    folder.write("tls.key", other.key.serialize_pem());
    expect_shown(&service, &client, &other).await;
    service.signal("TERM");
    let (_, log) = service.ended();
    let told = "The TLS certificate and key last read still count";
    assert_eq!(log.matches(told).count(), 5, "each is told once: {log}");
    assert!(!log.contains(&half_a_key[30..60]), "{log}");
}

#[test]
fn a_private_key_that_everybody_may_read_is_told() {
    let folder = Folder::new();
    let is_told = |mode| {
        fs::set_permissions(folder.path("tls.key"), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let service = folder.serve(&[]);
        service.signal("TERM");
        service.ended().1.contains("Everybody here may read the private key")
    };
    assert!(is_told(0o644));
    assert!(!is_told(0o640));
}

#[tokio::test]
async fn only_those_with_a_certificate_may_connect_if_it_is_so_wanted() {
    let folder = Folder::new();
    let [ours, theirs] = [(); 2].map(|()| Authority::new());
    let ca = folder.write("ca.crt", ours.pem());
    let service = folder.serve(&["--tls-client-ca", &ca]);
    let [our, their] = [&ours, &theirs].map(Authority::issue);
    for protocol in [HTTP1, HTTP2] {
        let client = |identity| folder.authority.client_with(&[protocol], identity);
        serves(&service, &client(Some(&our))).await;
        assert!(refused(&service, &client(None)).await);
        assert!(refused(&service, &client(Some(&their))).await);
    }
    let client = |identity| folder.authority.client_with(&[HTTP2], identity);
    let known = client(Some(&our));
    let mut before = Connection::open(&service.address, &known).await;
    assert_eq!(status(&mut before, &service).await, 200);

    folder.write("ca.crt", "nothing");
    let message = format!("--tls-client-ca {ca} has no certificate");
    until(&message, async || service.log().contains(&message)).await;
    serves(&service, &known).await;
    assert!(refused(&service, &client(None)).await, "nobody else is let in meanwhile");

    folder.write("ca.crt", theirs.pem());
    until("the other authority", async || !refused(&service, &client(Some(&their))).await).await;
    assert!(refused(&service, &known).await, "a session is not resumed either");
    assert_eq!(status(&mut before, &service).await, 200, "who is there is not sent away");
    folder.write("ca.crt", ours.pem() + &theirs.pem());
    until("both", async || !refused(&service, &known).await).await;
    serves(&service, &client(Some(&their))).await;
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_the_remedy() {
    let folder = Folder::new();
    let other = folder.authority.issue();
    let garbage = folder.write("garbage", [0, 159, 146, 150]);
    let no_der = folder.write("no-der", "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n");
    let unreadable = folder.write("unreadable", "-----BEGIN CERTIFICATE-----\n%&/\n-----END CERTIFICATE-----\n");
    let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LWtleQ==\n-----END PRIVATE KEY-----\n";
    let bad_key = folder.write("bad-key", secret);
    let unreadable_key = folder.write("unreadable-key", secret.replace("LWt", "%&/secret-key"));
    let encrypted = folder.write("encrypted", secret.replace("PRIVATE", "ENCRYPTED PRIVATE"));
    let large = folder.write("large", "");
    fs::File::options().write(true).open(&large).unwrap().set_len((4 << 20) + 1).unwrap();
    let other_key = folder.write("other-key", other.key.serialize_pem());
    let (certificate, key) = (folder.text("tls.crt"), folder.text("tls.key"));
    let inside = folder.text("");
    let both = |certificate, key| vec!["--tls-cert", certificate, "--tls-key", key];
    let mine = both(&certificate, &key);
    let is_pem = "Give a PEM file with `-----BEGIN CERTIFICATE-----`, whole.";
    let is_key = "Give an unencrypted RSA, ECDSA or Ed25519 key as a PEM file.";
    let cases = [
        (vec!["--tls-cert", &certificate], "--tls-cert is of no use without --tls-key.\nGive both --tls-cert FILE and"),
        (vec!["--tls-key", &key], "--tls-key is of no use without --tls-cert.\nGive both --tls-cert FILE and"),
        (vec!["--tls-client-ca", &certificate], "--tls-client-ca is of no use without --tls-cert and --tls-key.\n"),
        (
            both("/nowhere", &key),
            "--tls-cert /nowhere: No such file or directory (os error 2).\nName a file that is there and that",
        ),
        (both(&certificate, &inside), &format!("--tls-key {inside} is not a regular file.\nName a file that is there")),
        (both(&garbage, &key), &format!("--tls-cert {garbage} has no certificate.\n{is_pem}")),
        (both(&key, &key), &format!("--tls-cert {key} has no certificate.\n{is_pem}")),
        (both(&no_der, &key), &format!("--tls-cert {no_der} has a certificate that cannot be read.\n{is_pem}")),
        (both(&unreadable, &key), &format!("--tls-cert {unreadable} is not PEM, or not all of it.\n{is_pem}")),
        (both("/dev/zero", &key), "--tls-cert /dev/zero is not a regular file.\nName a file that is there"),
        (both(&large, &key), &format!("--tls-cert {large} is larger than 4 MiB.\n")),
        (
            both(&certificate, &certificate),
            &format!("--tls-key {certificate} has no private key, or an encrypted one.\n{is_key}"),
        ),
        (both(&certificate, &encrypted), &format!("{encrypted} has no private key, or an encrypted one.\n{is_key}")),
        (both(&certificate, &bad_key), &format!("{bad_key} has a private key that cannot be read or is of an")),
        (both(&certificate, &unreadable_key), &format!("{unreadable_key} is not PEM, or not all of it.\n")),
        (
            both(&certificate, &other_key),
            &format!(
                "--tls-key {other_key} is not the private key of the certificate of --tls-cert {certificate}.\nGive"
            ),
        ),
        (
            [&mine[..], &["--tls-client-ca", &garbage]].concat(),
            &format!("--tls-client-ca {garbage} has no certificate.\n{is_pem}"),
        ),
        (
            [&mine[..], &["--tls-client-ca", &no_der]].concat(),
            &format!("--tls-client-ca {no_der} has a certificate that cannot be read.\n{is_pem}"),
        ),
        (vec!["--max-connections", "0"], "0 is not in 1..="),
        (vec!["--max-connections", "many"], "invalid value 'many'"),
    ];
    for (arguments, message) in cases {
        let serve = ["serve", "--manifests", &inside, "--dev-token", "--listen", "127.0.0.1:0"];
        let output = run(&[&serve, &["--admin-listen", "127.0.0.1:0"][..], &arguments[..]].concat());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(message), "{arguments:?}: {message}: {told}");
        assert!(!told.contains("c2VjcmV0") && !told.contains("secret-key"), "{told}");
    }
}

#[tokio::test]
async fn what_is_no_tls_does_no_harm() {
    let folder = Folder::new();
    let service = folder.serve(&[]);
    let hello = [&[22, 3, 1, 64, 0][..], &[7; 0x4000]].concat();
    for garbage in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 100][..], &hello, &preface(INITIAL_WINDOW_SIZE, 1)] {
        let mut stream = std::net::TcpStream::connect(&service.address).unwrap();
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 20, "an alert at the most: {answer:?}");
    }
    serves(&service, &folder.authority.client(&[HTTP2])).await;
}

#[tokio::test]
async fn who_asks_and_takes_back_without_end_is_cut_off() {
    let folder = Folder::new();
    let service = folder.serve(&[]);
    let client = folder.authority.client(&[HTTP2]);
    let mut before = Connection::open(&service.address, &client).await;
    let mut rapid = connect(&service.address, &client).await.unwrap();
    let mut frames = preface(INITIAL_WINDOW_SIZE, 65_535);
    for stream in (1..200).step_by(2) {
        frames.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get_head(MESH)));
        frames.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    rapid.write_all(&frames).await.unwrap();
    let farewell = loop {
        if let (GOAWAY, payload) = next_frame(&mut rapid).await.expect("a farewell") {
            break payload;
        }
    };
    assert_eq!(farewell[7], ENHANCE_YOUR_CALM);
    assert_eq!(status(&mut before, &service).await, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_the_reason() {
    let folder = Folder::new();
    let service = folder.serve(&[]);
    for protocol in [HTTP1, HTTP2] {
        let client = folder.authority.client(&[protocol]);
        let mut connection = Connection::open(&service.address, &client).await;
        let value = "x".repeat(10 << 10);
        let fields = |count| vec![("x-large", value.as_str()); count];
        let (status, problem) = connection.get(MESH, &fields(4)).await.unwrap();
        assert!(status == 431 && problem.contains("\"requestId\""), "{status} {problem}");
        let (status, problem) = connection.get(&format!("/{value}"), &[]).await.unwrap();
        assert!(status == 414 && problem.contains("\"requestId\""), "{status} {problem}");
        // More than is read at all: with HTTP/1.1 by number, because the rest of what is too long is lost, and the answer
        // with it.
        let too_much = if protocol == HTTP1 { vec![("x-many", "x"); 300] } else { fields(20) };
        assert_eq!(connection.get(MESH, &too_much).await.unwrap(), (431, String::new()));
        serves(&service, &client).await;
    }
    // A head without end is not even read.
    let mut stream = connect(&service.address, &folder.authority.client(&[HTTP2])).await.unwrap();
    let mut frames = [preface(INITIAL_WINDOW_SIZE, 65_535), frame(HEADERS, END_STREAM, 1, &get_head(MESH))].concat();
    let field = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
    for _ in 0..100 {
        frames.extend(frame(CONTINUATION, 0, 1, &field));
    }
    let _ = stream.write_all(&frames).await;
    while next_frame(&mut stream).await.is_some() {}
}

#[tokio::test]
async fn one_place_is_for_one_after_the_other() {
    let folder = Folder::new();
    let service = folder.serve(&["--max-connections", "1"]);
    let client = folder.authority.client(&[HTTP2]);
    for _ in 0..3 {
        serves(&service, &client).await;
    }
    assert_eq!(service.admin("/livez").status, 200);
}
