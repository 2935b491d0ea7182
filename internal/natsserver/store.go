package natsserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// marker is what the last server that opened a store left there. Store formats move forward only: an older
// server would take some streams offline or rebuild them wrongly.
type marker struct {
	APILevel int    `json:"api_level"`
	Server   string `json:"server"`
}

const markerFile = "store.json"

// openStore creates the folder, locks it and checks that this server may open what is in it.
func openStore(dir string) (*storeLock, error) {
	if dir == "" {
		return nil, errors.New("open the NATS store: no folder given; set data_dir")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the NATS store (data_dir): %w", err)
	}
	lock, err := lockStore(dir)
	if err != nil {
		return nil, err
	}
	if err := checkMarker(dir); err != nil {
		lock.release()
		return nil, err
	}
	return lock, nil
}

func checkMarker(dir string) error {
	path := filepath.Join(dir, markerFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the NATS store's version: %w", err)
	}
	var m marker
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("read the NATS store's version in %s: %w", path, err)
	}
	if m.APILevel > server.JSApiLevel {
		return fmt.Errorf("the NATS store %s was written by NATS server %s (API level %d), newer than this one (%s, level %d): "+
			"start that version again, or restore a backup from before the upgrade",
			dir, m.Server, m.APILevel, server.VERSION, server.JSApiLevel)
	}
	return nil
}

func writeMarker(dir string) error {
	b, err := json.Marshal(marker{APILevel: server.JSApiLevel, Server: server.VERSION})
	if err != nil {
		return fmt.Errorf("encode the NATS store's version: %w", err)
	}
	path := filepath.Join(dir, markerFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the NATS store's version: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the NATS store's version: %w", err)
	}
	return nil
}

// spaceFor is nine tenths of what the store in dir may grow to: what it has and what the volume has free.
// Counting only the free part would shrink the bound at each start, below what the streams have reserved.
func spaceFor(dir string) (int64, error) {
	free, err := freeSpace(dir)
	if err != nil {
		return 0, fmt.Errorf("measure the volume of %s: %w", dir, err)
	}
	var used int64
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			used += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure the NATS store: %w", err)
	}
	return (free + used) / 10 * 9, nil
}
