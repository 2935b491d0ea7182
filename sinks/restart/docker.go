package restart

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// DockerRestarter acts on the containers of one Docker daemon. It is safe for concurrent use.
type DockerRestarter struct{ client *client.Client }

var (
	_ Restarter = (*DockerRestarter)(nil)
	_ Supporter = (*DockerRestarter)(nil)
)

// NewDockerRestarter returns a restarter of the daemon. It reads the files of its TLS and dials nothing; the
// version of the API is agreed on at the first call.
func NewDockerRestarter(cfg Docker) (*DockerRestarter, error) {
	options := []client.Opt{client.WithHost(cfg.Host), client.WithUserAgent("bellbuoy")}
	if t := cfg.TLS; t != (TLS{}) {
		options = append(options, client.WithTLSClientConfig(t.CA, t.Cert, t.Key))
	}
	c, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("make Docker client for %s: %w", cfg.Host, err)
	}
	return &DockerRestarter{c}, nil
}

// Close ends the connections.
func (d *DockerRestarter) Close() error {
	if err := d.client.Close(); err != nil {
		return fmt.Errorf("close Docker client: %w", err)
	}
	return nil
}

// State inspects the container.
func (d *DockerRestarter) State(ctx context.Context, t Target) (State, error) {
	got, err := d.client.ContainerInspect(ctx, t.ID, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("inspect container: %w", err)
	}
	return stateOf(&got.Container), nil
}

// stateOf takes what matters out of an inspect. Docker writes the zero time for a container that never ran.
func stateOf(c *container.InspectResponse) State {
	s := State{Name: c.Name}
	if c.Config != nil {
		s.Labels = c.Config.Labels
	}
	if h := c.HostConfig; h != nil {
		s.AutoRemove = h.AutoRemove
		s.Policy = string(h.RestartPolicy.Name)
	}
	if c.State == nil {
		return s
	}
	s.Found = c.State.Status != container.StateRemoving && c.State.Status != container.StateDead
	s.Running = c.State.Running && !c.State.Restarting
	s.Paused = c.State.Paused
	s.ExitCode = int64(c.State.ExitCode)
	if started, err := time.Parse(time.RFC3339Nano, c.State.StartedAt); err == nil && started.Year() > 1 {
		s.Started = started
	}
	if c.State.Health != nil && c.State.Health.Status != container.NoHealthcheck {
		s.Health = string(c.State.Health.Status)
	}
	return s
}

// Start starts the container; a running one stays as it is.
func (d *DockerRestarter) Start(ctx context.Context, t Target) error {
	if _, err := d.client.ContainerStart(ctx, t.ID, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	return nil
}

// Restart stops the container as its own stop signal and timeout say, and starts it.
func (d *DockerRestarter) Restart(ctx context.Context, t Target) error {
	if _, err := d.client.ContainerRestart(ctx, t.ID, client.ContainerRestartOptions{}); err != nil {
		return fmt.Errorf("restart container: %w", err)
	}
	return nil
}

// Dependants lists the running containers for who stands on whom, and inspects those that do for the truth.
func (d *DockerRestarter) Dependants(ctx context.Context, t Target) ([]Dependant, error) {
	first, err := d.client.ContainerInspect(ctx, t.ID, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspect container: %w", err)
	}
	list, err := d.client.ContainerList(ctx, client.ContainerListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	root := standing{id: first.Container.ID, name: plainName(first.Container.Name), labels: stateOf(&first.Container).Labels}
	others := make([]standing, 0, len(list.Items))
	for i := range list.Items {
		c := &list.Items[i]
		others = append(others, standing{c.ID, ownName(c.Names), c.HostConfig.NetworkMode, c.Labels})
	}
	var older []Dependant
	for _, dep := range inOrder(&root, others) {
		s, err := d.State(ctx, Target{ID: dep.ID})
		if err != nil {
			return nil, err
		}
		if s.Running && s.before(t.Run) {
			dep.Run, dep.Labels = s.Run(), redact.Labels(dep.Labels)
			older = append(older, dep)
		}
	}
	return connected(root.id, older), nil
}

// ownName is a container's own name among those that links of others gave it, such as /other/alias.
func ownName(names []string) string {
	for _, name := range names {
		if plain := plainName(name); !strings.Contains(plain, "/") {
			return plain
		}
	}
	return ""
}

func plainName(name string) string { return redact.Clean(strings.TrimPrefix(name, "/")) }
