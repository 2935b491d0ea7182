package servers

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
)

const motoVersion = "5.2.1"

//go:embed moto/requirements.txt
var motoRequirements []byte

// Moto is an installed moto server, which speaks the protocols of SNS, SQS, EventBridge and CloudFormation.
type Moto struct {
	python string
}

// Moto finds the server in the cache.
func (k *Kit) Moto() (Moto, error) {
	c := k.motoCache()
	if !c.fresh() {
		return Moto{}, notPrepared("moto", c)
	}
	return Moto{python: filepath.Join(c.dir, "bin", "python")}, nil
}

func (k *Kit) motoCache() cached {
	return k.cached("moto-"+motoVersion, motoRequirements, []byte(python()))
}

func (k *Kit) prepareMoto(ctx context.Context) (string, error) {
	c := k.motoCache()
	err := c.make(func(dir string) error { return pythonEnvironment(ctx, dir, motoRequirements) })
	return motoVersion + " in " + c.dir, err
}

// Start runs the server; port 0 lets it choose one. Its state is in memory: a later Start has none of it.
func (m Moto) Start(ctx context.Context, dir string, port int) (*process.Process, int, error) {
	// A fresh log for each start, because the chosen port is read from it.
	log := filepath.Join(dir, "log")
	if err := os.RemoveAll(log); err != nil {
		return nil, 0, fmt.Errorf("clear log: %w", err)
	}
	p, err := process.Start(process.Spec{
		Path: m.python,
		Args: []string{"-m", "moto.server", "-H", "127.0.0.1", "-p", strconv.Itoa(port)},
		Env:  []string{"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"},
		Dir:  dir,
		Log:  log,
	})
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	announced := regexp.MustCompile(`Running on http://127\.0\.0\.1:(\d+)`)
	err = p.Await(ctx, func(ctx context.Context) error {
		said, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		match := announced.FindSubmatch(said)
		if match == nil {
			return fmt.Errorf("no port announced")
		}
		if port, err = strconv.Atoi(string(match[1])); err != nil {
			return err
		}
		return probe(ctx, fmt.Sprintf("http://127.0.0.1:%d/moto-api/data.json", port))
	})
	return started(p, port, err)
}

// started ends a process that did not become ready.
func started(p *process.Process, port int, err error) (*process.Process, int, error) {
	if err != nil {
		p.Kill()
		return nil, 0, err
	}
	return p, port, nil
}

// probe asks a URL once and wants 200. It keeps no connection open.
func probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}
