// A Kubernetes API server and the etcd below it in one process, for the tests of the catalog.
//
// All that it keeps is below one folder: started again there, it goes on with the same data, certificate and keys. It
// says nothing on standard output but the path of a kubeconfig, as soon as it is ready, and it ends with whoever started
// it: on SIGTERM, or when standard input closes.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const (
	token  = "admin-token"
	issuer = "https://kubernetes.default.svc"

	kubeconfig = `apiVersion: v1
kind: Config
clusters:
- name: test
  cluster: {server: "https://127.0.0.1:%d", certificate-authority: %q}
users:
- name: admin
  user: {token: %s}
contexts:
- name: test
  context: {cluster: test, user: admin}
current-context: test
`

	// What was asked, and not what was said.
	auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`
)

func main() {
	data := flag.String("data", "", "folder of all that is kept")
	port := flag.Int("port", 0, "port of the API server; 0 takes a free one")
	audit := flag.Bool("audit", false, "write audit.log")
	users := flag.String("users", "", "further lines of the file of tokens")
	flag.Parse()
	if *data == "" {
		log.Fatal("--data is needed")
	}
	if err := run(*data, *port, *audit, *users); err != nil {
		log.Fatal(err)
	}
}

func run(data string, port int, audit bool, users string) error {
	data, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(data, name) }
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if port == 0 {
		if port, err = freePort(); err != nil {
			return err
		}
	}
	if err := ensureKey(in("service-account.key")); err != nil {
		return err
	}
	files := map[string]string{
		"tokens.csv":        token + ",admin,admin,system:masters\n" + users,
		"audit-policy.yaml": auditPolicy,
		"kubeconfig":        fmt.Sprintf(kubeconfig, port, in("certs/apiserver.crt"), token),
	}
	for name, content := range files {
		if err := replace(in(name), content); err != nil {
			return err
		}
	}

	etcd, err := startEtcd(in("etcd"))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	// A close in all form waits for the watches of the server, which go on; what was acknowledged is in the files anyway.
	defer etcd.Server.HardStop()

	arguments := []string{
		"--etcd-servers=http://" + etcd.Clients[0].Addr().String(),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir=" + in("certs"),
		"--service-account-issuer=" + issuer,
		"--api-audiences=" + issuer,
		"--service-account-key-file=" + in("service-account.key"),
		"--service-account-signing-key-file=" + in("service-account.key"),
		"--authorization-mode=RBAC",
		"--token-auth-file=" + in("tokens.csv"),
		// No controller makes the accounts that it would ask for.
		"--disable-admission-plugins=ServiceAccount",
		// A smaller one is full after a few hundred Services.
		"--service-cluster-ip-range=10.0.0.0/16",
	}
	if audit {
		arguments = append(arguments, "--audit-policy-file="+in("audit-policy.yaml"), "--audit-log-path="+in("audit.log"))
	}
	server := app.NewAPIServerCommand()
	server.SetArgs(arguments)
	server.SilenceUsage = true

	// The server has its own signal handler, and ends when its context does.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	ended := make(chan error, 1)
	go func() { ended <- server.ExecuteContext(ctx) }()
	go func() {
		if ready(ctx, port, in("certs/apiserver.crt")) {
			fmt.Println(in("kubeconfig"))
		}
	}()
	select {
	case err := <-ended:
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("kube-apiserver: %w", err)
	case <-ctx.Done():
		// It would wait a minute for watches to end by themselves, and there is nothing of its own to write out.
		return nil
	}
}

func startEtcd(dir string) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Dir = dir
	config.LogLevel = "error"
	// Survives a kill of the process, not of the machine: enough for tests.
	config.UnsafeNoFsync = true
	// It would look for a server on port 0.
	config.EnableGRPCGateway = false
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.ListenPeerUrls = loopback, loopback
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, err
	case <-time.After(time.Minute):
		return nil, errors.New("not ready within a minute")
	}
}

// ensureKey makes the key of service accounts; PKCS#1 is the form that the server reads.
func ensureKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(&block), 0o600)
}

// ready waits until the server answers. It trusts the certificate of this folder only: another process may have been
// faster to take the port.
func ready(ctx context.Context, port int, certificate string) bool {
	for ctx.Err() == nil {
		if answers(port, certificate) {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

func answers(port int, certificate string) bool {
	trusted := x509.NewCertPool()
	if content, err := os.ReadFile(certificate); err != nil || !trusted.AppendCertsFromPEM(content) {
		return false
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: 5 * time.Second}
	response, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/readyz", port))
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// freePort asks the system for one, and gives it back: the server refuses port 0.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// A restart finds the files of the start before, which somebody may be reading.
func replace(file, content string) error {
	whole := file + ".new"
	if err := os.WriteFile(whole, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(whole, file)
}
