package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/moby/moby/client"
)

// importImage makes an image of nothing but busybox, so that no test needs a registry.
func importImage(ctx context.Context, c *client.Client, busybox, name string) error {
	root, err := imageRoot(ctx, busybox)
	if err != nil {
		return err
	}
	source := client.ImageImportSource{Source: root, SourceName: "-"}
	result, err := c.ImageImport(ctx, source, name, client.ImageImportOptions{Changes: []string{`CMD ["/bin/sh"]`, "ENV PATH=/bin"}})
	if err != nil {
		return fmt.Errorf("import test image: %w", err)
	}
	defer result.Close()
	// The import is done when the daemon has said all it has to say.
	if _, err := io.Copy(io.Discard, result); err != nil {
		return fmt.Errorf("import test image: %w", err)
	}
	if _, err := c.ImageInspect(ctx, name); err != nil {
		return fmt.Errorf("find test image: %w", err)
	}
	return nil
}

// imageRoot is a tar archive of busybox and a link for each of its commands.
func imageRoot(ctx context.Context, busybox string) (io.Reader, error) {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w", err)
	}
	commands, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list busybox commands: %w", err)
	}
	headers := []tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))},
	}
	for _, command := range strings.Fields(string(commands)) {
		if command != "busybox" {
			headers = append(headers, tar.Header{Name: "bin/" + command, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777})
		}
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			return nil, fmt.Errorf("pack test image: %w", err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(program); err != nil {
				return nil, fmt.Errorf("pack test image: %w", err)
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack test image: %w", err)
	}
	return &archive, nil
}
