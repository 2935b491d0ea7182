package drill

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// Label marks a container as a drill's; its value is the kind.
const Label = "bellbuoy.drill"

// LabelTo names the only sink that is to be told of a drill.
const LabelTo = "bellbuoy.drill.to"

// Command is the hidden subcommand that calls Act.
const Command = "drill-act"

const (
	image = "bellbuoy-drill:latest"
	// oomLimit is far below what the oom kind takes and enough for the Go runtime to start.
	oomLimit = 48 << 20
	// startTime is more than the program needs to listen for signals.
	startTime = time.Second
)

// Container is one throw-away container.
type Container struct {
	ID, Name string
	// Ended is when the daemon saw its end, or that it is unhealthy.
	Ended  time.Time
	client *client.Client
}

// Run imports the binary, runs it as kind (crash, oom, stop, unhealthy or deploy) on the daemon at host and waits for
// its end, or until its health check has failed. to is the only sink that is to be told, empty for all. The caller must
// Close the result.
func Run(ctx context.Context, host, kind, to, binary string) (*Container, error) {
	c, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("use the docker daemon at %s: %w", host, err)
	}
	d := &Container{Name: "bellbuoy-drill-" + kind, client: c}
	if err := d.run(ctx, kind, to, binary); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Container) run(ctx context.Context, kind, to, binary string) error {
	if err := d.remove(ctx); err != nil {
		return err
	}
	if err := d.importBinary(ctx, binary); err != nil {
		return err
	}
	labels := map[string]string{Label: kind}
	if to != "" {
		labels[LabelTo] = to
	}
	host := &container.HostConfig{NetworkMode: "none"}
	if kind == "oom" {
		host.Resources = container.Resources{Memory: oomLimit, MemorySwap: oomLimit}
	}
	cfg := &container.Config{Image: image, Cmd: []string{"/bellbuoy", Command, kind}, Labels: labels}
	switch kind {
	case "unhealthy":
		cfg.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "/bellbuoy", Command, "probe"}, Interval: time.Second, Timeout: time.Second, Retries: 1}
	case "deploy":
		maps.Copy(labels, composed("old"))
	}
	var err error
	if d.ID, err = d.start(ctx, d.Name, cfg, host); err != nil {
		return err
	}
	switch kind {
	case "unhealthy":
		return d.awaitSick(ctx)
	case "stop", "deploy":
		if err := d.replace(ctx, kind == "deploy", cfg, host); err != nil {
			return err
		}
	}
	return d.await(ctx)
}

// composed are the labels of a container that compose made.
func composed(revision string) map[string]string {
	return map[string]string{
		"com.docker.compose.project": "bellbuoy-drill", "com.docker.compose.service": "deploy", "com.docker.compose.oneoff": "False",
		"com.docker.compose.container-number": "1", "com.docker.compose.config-hash": revision,
	}
}

func (d *Container) start(ctx context.Context, name string, cfg *container.Config, host *container.HostConfig) (id string, err error) {
	created, err := d.client.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name, Config: cfg, HostConfig: host})
	if err != nil {
		return "", fmt.Errorf("create the drill's container: %w", err)
	}
	if _, err := d.client.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return created.ID, fmt.Errorf("start the drill's container: %w", err)
	}
	return created.ID, nil
}

// nextName is the name of the container that takes the place of one.
const nextName = "bellbuoy-drill-deploy-next"

// replace stops the container and, if it is a deploy, starts its successor.
func (d *Container) replace(ctx context.Context, deploy bool, cfg *container.Config, host *container.HostConfig) error {
	// A stop that comes before the program listens for it would look like a program that ignores it.
	if err := backoff.Sleep(ctx, startTime); err != nil {
		return err
	}
	if _, err := d.client.ContainerStop(ctx, d.ID, client.ContainerStopOptions{}); err != nil {
		return fmt.Errorf("stop the drill's container: %w", err)
	}
	if !deploy {
		return nil
	}
	next := *cfg
	next.Labels = maps.Clone(cfg.Labels)
	maps.Copy(next.Labels, composed("new"))
	_, err := d.start(ctx, nextName, &next, host)
	return err
}

// awaitSick waits until the daemon says that the container is unhealthy.
func (d *Container) awaitSick(ctx context.Context) error {
	for {
		r, err := d.client.ContainerInspect(ctx, d.ID, client.ContainerInspectOptions{})
		if err != nil {
			return fmt.Errorf("look at the drill's container: %w", err)
		}
		if s := r.Container.State; s != nil && s.Health != nil && s.Health.Status == container.Unhealthy {
			d.Ended = time.Now()
			return nil
		}
		if err := backoff.Sleep(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("wait until the drill's container is unhealthy: %w", err)
		}
	}
}

func (d *Container) await(ctx context.Context) error {
	wait := d.client.ContainerWait(ctx, d.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-wait.Result:
		d.Ended = time.Now()
		return nil
	case err := <-wait.Error:
		return fmt.Errorf("wait for the drill's container: %w", err)
	case <-ctx.Done():
		return fmt.Errorf("wait for the drill's container: %w", ctx.Err())
	}
}

// importBinary makes an image of the program alone. The program must be static, because nothing else is
// in there.
func (d *Container) importBinary(ctx context.Context, binary string) error {
	program, err := os.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read the program for the drill's image: %w", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err = errors.Join(
		w.WriteHeader(&tar.Header{Name: "bellbuoy", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))}),
		func() error { _, err := w.Write(program); return err }(),
		w.Close(),
	)
	if err != nil {
		return fmt.Errorf("pack the drill's image: %w", err)
	}
	source := client.ImageImportSource{Source: &archive, SourceName: "-"}
	result, err := d.client.ImageImport(ctx, source, image, client.ImageImportOptions{})
	if err != nil {
		return fmt.Errorf("import the drill's image: %w", err)
	}
	_, err = io.Copy(io.Discard, result)
	if err = errors.Join(err, result.Close()); err != nil {
		return fmt.Errorf("import the drill's image: %w", err)
	}
	return nil
}

// remove deletes the container of this kind, an earlier drill's too.
func (d *Container) remove(ctx context.Context) error {
	for _, name := range []string{d.Name, nextName} {
		_, err := d.client.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !isNotFound(err) {
			return fmt.Errorf("remove the drill's container: %w", err)
		}
	}
	return nil
}

// Close removes the container and the image.
func (d *Container) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := d.remove(ctx)
	if _, imageErr := d.client.ImageRemove(ctx, image, client.ImageRemoveOptions{Force: true}); imageErr != nil && !isNotFound(imageErr) {
		err = errors.Join(err, fmt.Errorf("remove the drill's image: %w", imageErr))
	}
	return errors.Join(err, d.client.Close())
}
