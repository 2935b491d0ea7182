package servers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// build is a daemon that no package of the system has: a module in e2e/daemons names its programs as tools and
// pins all that they are made of.
type build struct {
	name    string // of the module's folder, and of the one in the cache
	module  string // whose version is the daemon's
	version string // variable that holds the version, if the daemon does not know it by itself
	tags    string
	cgo     string
}

func dockerBuild() build {
	const module = "github.com/moby/moby/v2"
	return build{
		name: "docker29", module: module, version: module + "/dockerversion.Version",
		tags: "no_btrfs,exclude_graphdriver_btrfs,netgo", cgo: "0",
	}
}

func containerd24Build() build {
	const module = "github.com/containerd/containerd/v2"
	return build{
		name: "containerd24", module: module, version: module + "/version.Version",
		tags: "no_btrfs,no_zfs", cgo: "0",
	}
}

func containerd17Build() build {
	const module = "github.com/containerd/containerd"
	return build{
		name: "containerd17", module: module, version: module + "/version.Version",
		tags: "no_aufs,no_btrfs,no_cri,no_devmapper,no_zfs", cgo: "0",
	}
}

// runcBuild has no seccomp, for which C headers would be needed. Its namespaces need C itself.
func runcBuild() build {
	return build{name: "runc15", module: "github.com/opencontainers/runc", cgo: "1"}
}

// builds are in the order in which they are made: the shortest first, so that a lack of C shows at once. Who may
// not start a daemon needs none.
func builds() []build {
	if !mayHold() {
		return nil
	}
	return []build{runcBuild(), containerd24Build(), dockerBuild(), containerd17Build()}
}

func (k *Kit) sources(b build) string { return filepath.Join(k.root, "e2e", "daemons", b.name) }

func (k *Kit) buildCache(b build) (c cached, version string, err error) {
	mod, err := os.ReadFile(filepath.Join(k.sources(b), "go.mod"))
	if err != nil {
		return cached{}, "", fmt.Errorf("read module of %s: %w", b.name, err)
	}
	sum, err := os.ReadFile(filepath.Join(k.sources(b), "go.sum"))
	if err != nil {
		return cached{}, "", fmt.Errorf("read sums of %s: %w", b.name, err)
	}
	if version = required(mod, b.module); version == "" {
		return cached{}, "", fmt.Errorf("module of %s names no %s", b.name, b.module)
	}
	return k.cached(b.name, mod, sum, fmt.Appendf(nil, "%+v %s", b, runtime.Version())), version, nil
}

// required is the version of a module in a go.mod, empty if it is not there.
func required(mod []byte, module string) string {
	for line := range bytes.Lines(mod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(string(line)), "require "))
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1]
		}
	}
	return ""
}

// built finds the folder of a build's programs.
func (k *Kit) built(b build) (string, error) {
	c, _, err := k.buildCache(b)
	if err != nil {
		return "", err
	}
	if !c.fresh() {
		return "", notPrepared(b.name, c)
	}
	return c.dir, nil
}

func (k *Kit) prepareBuild(ctx context.Context, b build) (string, error) {
	c, version, err := k.buildCache(b)
	if err != nil {
		return "", err
	}
	began := time.Now()
	line := version + " in " + c.dir
	err = c.make(func(dir string) error {
		flags := "-s -w"
		if b.version != "" {
			flags += " -X " + b.version + "=" + version
		}
		// The environment of a developer's own builds must not get into these.
		env := []string{"GOWORK=off", "GOFLAGS=-mod=readonly", "GOOS=", "GOARCH=", "CGO_ENABLED=" + b.cgo}
		args := []string{"build", "-trimpath", "-buildvcs=false", "-tags", b.tags, "-ldflags", flags, "-o", dir + "/", "tool"}
		if err := runWith(ctx, env, k.sources(b), "go", args...); err != nil {
			return fmt.Errorf("build %s: %w", b.name, err)
		}
		line += fmt.Sprintf(", built in %.0f s", time.Since(began).Seconds())
		return nil
	})
	return line, err
}

// toBuild are the builds that the cache lacks.
func (k *Kit) toBuild() ([]build, error) {
	var lacking []build
	for _, b := range builds() {
		c, _, err := k.buildCache(b)
		if err != nil {
			return nil, err
		}
		if !c.fresh() {
			lacking = append(lacking, b)
		}
	}
	return lacking, nil
}

func buildNeeds(lacking []build) []Need {
	var needs []Need
	for _, b := range lacking {
		if b.cgo == "0" {
			continue
		}
		if program("gcc") == "" {
			needs = append(needs, Need{What: "C compiler for " + b.name, Package: "gcc"})
		}
		if !isFile("/usr/include/stdlib.h") {
			needs = append(needs, Need{What: "C headers for " + b.name, Package: "libc6-dev"})
		}
	}
	return needs
}
