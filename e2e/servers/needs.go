package servers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// SetupCommand prepares everything that Prepare can.
const SetupCommand = "go run ./e2e/harness/cmd/setup"

// Need is one thing a server lacks, and what to type to get it.
type Need struct {
	What    string
	Package string // of Debian, if one cures it
	Cure    string // else the command to type, if it is not SetupCommand
}

// Command is what to type.
func (n Need) Command() string {
	if n.Cure != "" {
		return n.Cure
	}
	if n.Package == "" {
		return SetupCommand
	}
	return "apt-get install --no-install-recommends " + n.Package
}

// MissingError says that a server cannot run on this machine as it is.
type MissingError struct {
	Server string
	Needs  []Need
}

func (e *MissingError) Error() string {
	lines := make([]string, 0, len(e.Needs))
	for _, n := range e.Needs {
		lines = append(lines, "no "+n.What+" (type: "+n.Command()+")")
	}
	return e.Server + " cannot run: " + strings.Join(lines, ", ")
}

func missing(server string, needs []Need) error {
	if len(needs) == 0 {
		return nil
	}
	return &MissingError{Server: server, Needs: needs}
}

// notPrepared is the lack of a cache entry.
func notPrepared(server string, c cached) error {
	return missing(server, []Need{{What: "up-to-date " + c.dir}})
}

// program finds an executable also where a short PATH does not look: daemons live in sbin.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return ""
}

// withSystemPath is a PATH entry for children that look for their own helpers, as dockerd does for runc. They
// look into the given folders first.
func withSystemPath(first ...string) string {
	return "PATH=" + strings.Join(append(first, os.Getenv("PATH")), ":") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}
