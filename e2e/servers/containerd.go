package servers

// Containerd is where the parts of a private containerd are.
type Containerd struct {
	Version string // major.minor
	Daemon  string
	Ctr     string
	Busybox string
	Env     []string // lets the daemon find its shim, and the shim runc
}

// ContainerdVersions are those that Containerd finds, oldest first. The first is the machine's own.
func ContainerdVersions() []string { return []string{"1.6"} }

// Containerd finds a version of the daemon.
func (k *Kit) Containerd(version string) (Containerd, error) {
	c := Containerd{Version: version, Busybox: program("busybox")}
	c.Daemon, c.Ctr, c.Env = program("containerd"), program("ctr"), []string{withSystemPath()}
	return c, missing("containerd", append(containerdNeeds(), busyboxNeeds()...))
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
