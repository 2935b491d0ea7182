package servers

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// DockerHostVariable names the environment variable that makes the tests use a running daemon, such as
// unix:///var/run/docker.sock, in place of one of their own.
const DockerHostVariable = "BELLBUOY_E2E_DOCKER_HOST"

// Docker is where the parts of a private Docker daemon are.
type Docker struct {
	Dockerd string
	Busybox string
	Env     []string // lets dockerd find containerd, runc and iptables
	Flags   []string // what this dockerd needs beside the usual ones

	Containerd Containerd // the one that dockerd starts
}

// Docker finds the machine's own daemon.
func (k *Kit) Docker() (Docker, error) {
	if err := missing("docker", append(daemonNeeds(), busyboxNeeds()...)); err != nil {
		return Docker{}, err
	}
	c := systemContainerd()
	return Docker{Dockerd: program("dockerd"), Busybox: c.Busybox, Env: c.Env, Containerd: c}, nil
}

// Docker29 finds the daemon of the 29 line, which has a containerd and runc of its own.
func (k *Kit) Docker29() (Docker, error) {
	dir, err := k.built(dockerBuild())
	c, missesContainerd := k.Containerd("2.4")
	if err := errors.Join(err, missesContainerd); err != nil {
		return Docker{}, err
	}
	return Docker{
		Dockerd: filepath.Join(dir, "dockerd"), Busybox: c.Busybox, Env: c.Env, Containerd: c,
		Flags: []string{"--seccomp-profile=unconfined"}, // runc is built without it
	}, nil
}

// Busybox finds the statically linked busybox that is the whole content of the test image.
func (k *Kit) Busybox() (string, error) {
	return program("busybox"), missing("docker", busyboxNeeds())
}

func daemonNeeds() []Need {
	needs := containerdNeeds()
	for _, n := range []Need{{What: "dockerd", Package: "docker.io"}, {What: "iptables", Package: "iptables"}} {
		if program(n.What) == "" {
			needs = append(needs, n)
		}
	}
	return needs
}

func busyboxNeeds() []Need {
	if isStatic(program("busybox")) {
		return nil
	}
	return []Need{{What: "statically linked busybox", Package: "busybox-static"}}
}

// setupDockerNeeds leaves the daemons out for those who bring their own.
func setupDockerNeeds() []Need {
	needs := busyboxNeeds()
	if os.Getenv(DockerHostVariable) == "" {
		needs = append(needs, daemonNeeds()...)
	} else if mayHold() {
		needs = append(needs, containerdNeeds()...)
	}
	return needs
}

// mayHold tells whether this user can start container daemons.
func mayHold() bool { return os.Getuid() == 0 }

// isStatic tells whether a program runs in an image that has nothing else in it.
func isStatic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}
