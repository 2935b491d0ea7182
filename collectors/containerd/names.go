package containerd

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// imageNames remembers for a moment what image names mean, because many containers have the same. It is
// safe for concurrent use.
type imageNames struct {
	api *api

	mu    sync.Mutex // guards known
	known map[string]meaning
}

type meaning struct {
	digest string
	until  time.Time
}

const (
	meaningLasts = 30 * time.Second
	maxMeanings  = 4096
)

func newImageNames(a *api) *imageNames { return &imageNames{api: a, known: map[string]meaning{}} }

// digest returns what an image of a namespace means now; empty is unknown.
func (i *imageNames) digest(ctx context.Context, namespace, image string) string {
	if image == "" {
		return ""
	}
	name, now := key(namespace, image), time.Now()
	i.mu.Lock()
	m, ok := i.known[name]
	i.mu.Unlock()
	if ok && now.Before(m.until) {
		return m.digest
	}
	m = meaning{i.api.digest(ctx, namespace, image), now.Add(meaningLasts)}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.known) >= maxMeanings {
		clear(i.known)
	}
	i.known[name] = m
	return m.digest
}

// owned remembers which namespaces hold containers of a Docker daemon, whatever their name, and says so
// once. It is safe for concurrent use.
type owned struct {
	logger *slog.Logger

	mu         sync.Mutex // guards namespaces
	namespaces map[string]bool
}

func newOwned(logger *slog.Logger) *owned {
	return &owned{logger: logger, namespaces: map[string]bool{}}
}

func (o *owned) note(namespace, owner string) {
	if owner != ownedByDocker {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.namespaces[namespace] {
		o.namespaces[namespace] = true
		o.logger.Info("namespace holds containers of a Docker daemon; they are left to its collector", "namespace", namespace)
	}
}

// docker reports a namespace in which a Docker daemon's container was seen.
func (o *owned) docker(namespace string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.namespaces[namespace]
}
