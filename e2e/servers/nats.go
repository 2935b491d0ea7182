package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
)

const natsModule = "github.com/nats-io/nats-server/v2"

// NATS is a built nats-server, of the version that go.mod names.
type NATS struct {
	binary string
}

// NATS finds the server in the cache.
func (k *Kit) NATS() (NATS, error) {
	c, _, err := k.natsCache()
	if err != nil {
		return NATS{}, err
	}
	if !c.fresh() {
		return NATS{}, notPrepared("nats-server", c)
	}
	return NATS{binary: filepath.Join(c.dir, "nats-server")}, nil
}

func (k *Kit) natsCache() (cached, string, error) {
	mod, err := os.ReadFile(filepath.Join(k.root, "go.mod"))
	if err != nil {
		return cached{}, "", fmt.Errorf("read go.mod: %w", err)
	}
	if version := required(mod, natsModule); version != "" {
		return k.cached("nats-server-"+version, []byte(version)), version, nil
	}
	return cached{}, "", fmt.Errorf("go.mod names no %s", natsModule)
}

func (k *Kit) prepareNATS(ctx context.Context) (string, error) {
	c, version, err := k.natsCache()
	if err != nil {
		return "", err
	}
	err = c.make(func(dir string) error {
		if err := run(ctx, k.root, "go", "build", "-o", filepath.Join(dir, "nats-server"), natsModule); err != nil {
			return fmt.Errorf("build nats-server: %w", err)
		}
		return nil
	})
	return version + " in " + c.dir, err
}

// Start runs the server with JetStream, its store in dir. Port 0 lets it choose one; config is more
// text for its configuration file, such as users or TLS.
func (n NATS) Start(ctx context.Context, dir string, port int, config string) (*process.Process, int, error) {
	if port == 0 {
		port = -1 // what the server calls "any"
	}
	file := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("host: 127.0.0.1\nport: %d\nports_file_dir: %q\njetstream {store_dir: %q}\n%s\n", port, dir, dir, config)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, 0, fmt.Errorf("write config: %w", err)
	}
	old, err := portsFiles(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range old { // of a server that was killed
		if err := os.Remove(f); err != nil {
			return nil, 0, fmt.Errorf("clear ports file: %w", err)
		}
	}
	p, err := process.Start(process.Spec{Path: n.binary, Args: []string{"-c", file}, Dir: dir, Log: filepath.Join(dir, "log")})
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = p.Await(ctx, func(ctx context.Context) (err error) {
		port, err = natsPort(ctx, dir)
		return err
	})
	return started(p, port, err)
}

func portsFiles(dir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, "nats-server_*.ports"))
}

// natsPort reads the client port from the file that the server writes, and sees that it accepts.
func natsPort(ctx context.Context, dir string) (int, error) {
	files, err := portsFiles(dir)
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, errors.New("no ports file")
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		return 0, err
	}
	var ports struct {
		NATS []string `json:"nats"`
	}
	if err := json.Unmarshal(b, &ports); err != nil {
		return 0, err
	}
	if len(ports.NATS) == 0 {
		return 0, errors.New("no client port yet")
	}
	u, err := url.Parse(ports.NATS[0])
	if err != nil {
		return 0, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return 0, err
	}
	conn.Close()
	return strconv.Atoi(u.Port())
}
