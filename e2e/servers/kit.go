// Package servers prepares and starts the real servers of the end-to-end tests: dockerd, OpenSearch,
// moto (SNS and SQS) and nats-server.
//
// A Kit looks for what the machine has, installs what it lacks (Prepare) and keeps what it downloads in
// one cache folder, where each server has a folder with a stamp of everything that it was made from.
// Methods named after a server find it; they return a *MissingError when the tests have to do without.
// Start functions run a server on loopback, with all its data in the folder they are given.
package servers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// CacheVariable names the environment variable that moves the cache out of the repository.
const CacheVariable = "BELLBUOY_CACHE"

const stampFile = "stamp"

// Kit finds and prepares servers.
type Kit struct {
	root  string // the repository
	cache string
}

// Open returns the Kit of the repository that holds the working directory.
func Open() (*Kit, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	root := dir
	for !isFile(filepath.Join(root, "go.mod")) {
		if root == filepath.Dir(root) {
			return nil, fmt.Errorf("no go.mod in or above %s", dir)
		}
		root = filepath.Dir(root)
	}
	cache := filepath.Join(root, ".cache")
	if moved := os.Getenv(CacheVariable); moved != "" {
		if cache, err = filepath.Abs(moved); err != nil {
			return nil, fmt.Errorf("resolve %s: %w", CacheVariable, err)
		}
	}
	return &Kit{root: root, cache: cache}, nil
}

// Root is the folder of the repository.
func (k *Kit) Root() string { return k.root }

// cached is a folder of the cache with the stamp of what belongs into it.
type cached struct {
	dir, stamp string
}

func (k *Kit) cached(name string, inputs ...[]byte) cached {
	sum := sha256.Sum256(bytes.Join(inputs, []byte{0}))
	return cached{dir: filepath.Join(k.cache, name), stamp: hex.EncodeToString(sum[:])}
}

func (c cached) fresh() bool {
	stamp, err := os.ReadFile(filepath.Join(c.dir, stampFile))
	return err == nil && string(stamp) == c.stamp
}

// make fills the folder anew unless it is fresh. The stamp is written last, so that an interrupted make
// is done again.
func (c cached) make(fill func(dir string) error) error {
	if c.fresh() {
		return nil
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("clear %s: %w", c.dir, err)
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", c.dir, err)
	}
	if err := fill(c.dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, stampFile), []byte(c.stamp), 0o644)
}

// lock keeps two preparations of one cache apart. It waits for the other one, and says so.
func (k *Kit) lock(out io.Writer) (io.Closer, error) {
	if err := os.MkdirAll(k.cache, 0o755); err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(k.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock of cache: %w", err)
	}
	fd := int(f.Fd())
	err = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintf(out, "waiting for another preparation of %s\n", k.cache)
		err = syscall.Flock(fd, syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock cache: %w", err)
	}
	return f, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
