package drill

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
)

// ErrCrash is what a crash ends with; the program turns it into exit code 3.
var ErrCrash = errors.New("drill: crash on purpose")

// Act is what the program does inside the container: it crashes, takes memory until the kernel ends it,
// or waits until it is stopped.
func Act(ctx context.Context, kind string, out io.Writer) error {
	_, _ = fmt.Fprintf(out, "bellbuoy drill: %s\n", kind)
	switch kind {
	case "crash":
		_, _ = fmt.Fprintln(out, "boom: this is the last line before a crash on purpose")
		return ErrCrash
	case "oom":
		return eat(ctx)
	case "stop", "unhealthy", "deploy":
		<-ctx.Done()
		return nil
	case "probe": // of the unhealthy one
		return ErrCrash
	}
	return fmt.Errorf("there is no drill %q", kind)
}

// eat keeps what it takes and touches every page, so that it counts.
func eat(ctx context.Context) error {
	var kept [][]byte
	for ctx.Err() == nil {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = byte(len(kept))
		}
		kept = append(kept, block)
	}
	return fmt.Errorf("stopped after %d MiB: %w", len(kept), ctx.Err())
}

func isNotFound(err error) bool { return errdefs.IsNotFound(err) }
