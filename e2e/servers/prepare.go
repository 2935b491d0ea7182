package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// Prepare makes every server ready and writes one line for each to out. What Debian packages would
// cure it installs when it may, which it says first; else it returns an error that lists what to type.
func (k *Kit) Prepare(ctx context.Context, out io.Writer) error {
	lock, err := k.lock(out)
	if err != nil {
		return err
	}
	defer lock.Close()
	lacking, err := k.toBuild()
	if err != nil {
		return err
	}
	if err := k.install(ctx, out, lacking); err != nil {
		return err
	}
	for _, b := range lacking {
		fmt.Fprintf(out, "%-12s will be built from modules, which takes a minute or two\n", b.name)
	}

	var mu sync.Mutex // one line at a time
	var errs []error  // of all servers: one that fails does not hold up the others
	report := func(name, line string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, fmt.Errorf("prepare %s: %w", name, err))
			return
		}
		fmt.Fprintf(out, "%-12s %s\n", name, line)
	}
	var group sync.WaitGroup
	for name, prepare := range map[string]func(context.Context) (string, error){
		"docker":      k.describeDocker,
		"test image":  k.describeImage,
		"opensearch":  k.prepareOpenSearch,
		"moto":        k.prepareMoto,
		"cfn-lint":    k.prepareCFNLint,
		"nats-server": k.prepareNATS,
	} {
		group.Go(func() {
			line, err := prepare(ctx)
			report(name, line, err)
		})
	}
	group.Go(func() { // one after the other: each fills all cores
		for _, b := range builds() {
			line, err := k.prepareBuild(ctx, b)
			report(b.name, line, err)
		}
	})
	group.Wait()
	return errors.Join(errs...)
}

func (k *Kit) describeDocker(context.Context) (string, error) {
	if host := os.Getenv(DockerHostVariable); host != "" {
		return host, nil
	}
	d, err := k.Docker()
	return d.Dockerd, err
}

func (k *Kit) describeImage(context.Context) (string, error) {
	busybox, err := k.Busybox()
	return "made of " + busybox + " at each start", err
}

func (k *Kit) install(ctx context.Context, out io.Writer, lacking []build) error {
	needs := slices.Concat(setupDockerNeeds(), buildNeeds(lacking), k.openSearchNeeds(), k.pythonNeeds())
	if len(needs) == 0 {
		return nil
	}
	var packages []string
	for _, n := range needs {
		packages = append(packages, n.Package)
	}
	apt := program("apt-get")
	if apt == "" || os.Getuid() != 0 {
		return missing("some servers", needs)
	}
	fmt.Fprintf(out, "installing with apt-get: %s\n", strings.Join(packages, " "))
	if err := run(ctx, "", apt, "-qq", "update"); err != nil {
		return fmt.Errorf("update package lists: %w", err)
	}
	args := append([]string{"-qq", "-y", "--no-install-recommends", "install"}, packages...)
	if err := run(ctx, "", apt, args...); err != nil {
		return fmt.Errorf("install packages: %w", err)
	}
	return nil
}

// run runs a command to its end and puts what it said into the error.
func run(ctx context.Context, dir, name string, args ...string) error {
	return runWith(ctx, nil, dir, name, args...)
}

// runWith is run with more in the environment.
func runWith(ctx context.Context, env []string, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), []string{withSystemPath(), "DEBIAN_FRONTEND=noninteractive"}, env)
	// Interrupted programs clear up what they have begun; killed ones do not.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		const most = 3000
		return fmt.Errorf("%s: %w\n%s", name, err, said.Bytes()[max(0, said.Len()-most):])
	}
	return nil
}
