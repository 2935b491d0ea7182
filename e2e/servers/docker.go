package servers

import (
	"debug/elf"
	"slices"
)

// Docker is where the parts of a private Docker daemon are.
type Docker struct {
	Dockerd string
	Busybox string   // statically linked, the whole content of the test image
	Env     []string // lets dockerd find containerd, runc and iptables
}

// Docker finds the daemon.
func (k *Kit) Docker() (Docker, error) {
	if err := missing("docker", dockerNeeds()); err != nil {
		return Docker{}, err
	}
	return Docker{
		Dockerd: program("dockerd"),
		Busybox: program("busybox"),
		Env:     []string{withSystemPath()},
	}, nil
}

func dockerNeeds() []Need {
	var needs []Need
	for _, p := range []Need{
		{What: "dockerd", Package: "docker.io"},
		{What: "containerd", Package: "containerd"},
		{What: "runc", Package: "runc"},
		{What: "iptables", Package: "iptables"},
	} {
		if program(p.What) == "" {
			needs = append(needs, p)
		}
	}
	if !isStatic(program("busybox")) {
		needs = append(needs, Need{What: "statically linked busybox", Package: "busybox-static"})
	}
	return needs
}

// isStatic tells whether a program runs in an image that has nothing else in it.
func isStatic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}
