package drill

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// Label marks a container as a drill's; its value is the kind.
const Label = "bellbuoy.drill"

// Command is the hidden subcommand that calls Act.
const Command = "drill-act"

const (
	image = "bellbuoy-drill:latest"
	// oomLimit is far below what the oom kind takes and enough for the Go runtime to start.
	oomLimit = 48 << 20
	// startTime is more than the program needs to listen for signals.
	startTime = time.Second
)

// Container is one ended throw-away container.
type Container struct {
	ID, Name string
	// Ended is when the daemon saw its end.
	Ended  time.Time
	client *client.Client
}

// Run imports the binary, runs it as kind (crash, oom or stop) on the daemon at host and waits for its
// end. The caller must Close the result.
func Run(ctx context.Context, host, kind, binary string) (*Container, error) {
	c, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("use the docker daemon at %s: %w", host, err)
	}
	d := &Container{Name: "bellbuoy-drill-" + kind, client: c}
	if err := d.run(ctx, kind, binary); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Container) run(ctx context.Context, kind, binary string) error {
	if err := d.remove(ctx); err != nil {
		return err
	}
	if err := d.importBinary(ctx, binary); err != nil {
		return err
	}
	host := &container.HostConfig{NetworkMode: "none"}
	if kind == "oom" {
		host.Resources = container.Resources{Memory: oomLimit, MemorySwap: oomLimit}
	}
	created, err := d.client.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:       d.Name,
		Config:     &container.Config{Image: image, Cmd: []string{"/bellbuoy", Command, kind}, Labels: map[string]string{Label: kind}},
		HostConfig: host,
	})
	if err != nil {
		return fmt.Errorf("create the drill's container: %w", err)
	}
	d.ID = created.ID
	if _, err := d.client.ContainerStart(ctx, d.ID, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start the drill's container: %w", err)
	}
	if kind == "stop" {
		// A stop that comes before the program listens for it would look like a program that ignores it.
		if err := backoff.Sleep(ctx, startTime); err != nil {
			return err
		}
		if _, err := d.client.ContainerStop(ctx, d.ID, client.ContainerStopOptions{}); err != nil {
			return fmt.Errorf("stop the drill's container: %w", err)
		}
	}
	return d.await(ctx)
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
	_, err := d.client.ContainerRemove(ctx, d.Name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("remove the drill's container: %w", err)
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
