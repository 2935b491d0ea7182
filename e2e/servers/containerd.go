package servers

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Containerd is where the parts of a private containerd are.
type Containerd struct {
	Version string // major.minor
	Daemon  string
	Ctr     string
	Busybox string
	Env     []string // lets the daemon find its shim, and the shim runc
}

// ContainerdVersions are those that Containerd finds, oldest first.
func ContainerdVersions() []string { return []string{"1.6", "1.7", "2.4"} }

// Containerd finds a version of the daemon. 1.6 is the machine's own, as Debian 12 has it.
func (k *Kit) Containerd(version string) (Containerd, error) {
	if err := missing("containerd", busyboxNeeds()); err != nil {
		return Containerd{}, err
	}
	switch version {
	case "1.6":
		return systemContainerd(), missing("containerd", containerdNeeds())
	case "1.7":
		return k.builtContainerd(version, containerd17Build())
	case "2.4":
		return k.builtContainerd(version, containerd24Build())
	}
	return Containerd{}, fmt.Errorf("containerd %q: the versions are %q", version, ContainerdVersions())
}

func systemContainerd() Containerd {
	return Containerd{
		Version: "1.6", Daemon: program("containerd"), Ctr: program("ctr"), Busybox: program("busybox"),
		Env: []string{withSystemPath()},
	}
}

func (k *Kit) builtContainerd(version string, b build) (Containerd, error) {
	dir, err := k.built(b)
	runc, missesRunc := k.built(runcBuild())
	if err := errors.Join(err, missesRunc); err != nil {
		return Containerd{}, err
	}
	return Containerd{
		Version: version, Daemon: filepath.Join(dir, "containerd"), Ctr: filepath.Join(dir, "ctr"), Busybox: program("busybox"),
		Env: []string{withSystemPath(dir, runc)},
	}, nil
}

func containerdNeeds() []Need {
	var needs []Need
	for _, name := range []string{"containerd", "runc"} {
		if program(name) == "" {
			needs = append(needs, Need{What: name, Package: name})
		}
	}
	return needs
}
