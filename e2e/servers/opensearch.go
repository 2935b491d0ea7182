package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
)

// OpenSearch is an installed node, made of the jars of Maven Central.
type OpenSearch struct {
	Version string
	home    string
	java    java
}

// OpenSearch finds the node in the cache.
func (k *Kit) OpenSearch() (OpenSearch, error) {
	if needs := k.openSearchNeeds(); len(needs) > 0 {
		return OpenSearch{}, missing("opensearch", needs)
	}
	o, c, _, err := k.openSearch()
	if err != nil {
		return OpenSearch{}, err
	}
	if !c.fresh() {
		return OpenSearch{}, notPrepared("opensearch", c)
	}
	return o, nil
}

// openSearch plans the node that the newest Java can run.
func (k *Kit) openSearch() (OpenSearch, cached, *plan, error) {
	o := OpenSearch{Version: "3.4.0", java: newestJava()}
	if o.java.major < 21 {
		o.Version = "2.19.4"
	}
	p, err := newPlan(o.Version)
	if err != nil {
		return OpenSearch{}, cached{}, nil, err
	}
	c := k.cached("opensearch-"+o.Version, p.fingerprint(), []byte(o.java.home))
	o.home = c.dir
	return o, c, p, nil
}

func (k *Kit) openSearchNeeds() []Need {
	if newestJava().major < 17 {
		needs := []Need{{What: "Java 17", Package: "openjdk-17-jre-headless"}}
		return append(needs, mavenNeeds()...)
	}
	if _, c, _, err := k.openSearch(); err == nil && c.fresh() {
		return nil
	}
	return mavenNeeds()
}

func mavenNeeds() []Need {
	if program("mvn") == "" {
		return []Need{{What: "mvn", Package: "maven"}}
	}
	return nil
}

func (k *Kit) prepareOpenSearch(ctx context.Context) (string, error) {
	o, c, p, err := k.openSearch()
	if err != nil {
		return "", err
	}
	err = c.make(func(dir string) error {
		if err := p.assemble(ctx, dir, o.java); err != nil {
			return err
		}
		return o.archive(ctx)
	})
	return fmt.Sprintf("%s on Java %d in %s", o.Version, o.java.major, c.dir), err
}

// archive runs the node once and lets Java save the classes it has loaded. That halves every later
// start, and proves that the installation works.
func (o OpenSearch) archive(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "bellbuoy-opensearch-")
	if err != nil {
		return fmt.Errorf("make first data folder: %w", err)
	}
	defer os.RemoveAll(dir)
	p, _, err := o.start(ctx, dir, 0, "-XX:ArchiveClassesAtExit="+o.archiveFile())
	if err != nil {
		return fmt.Errorf("start for the first time: %w", err)
	}
	return p.Stop(2 * time.Minute)
}

func (o OpenSearch) archiveFile() string { return filepath.Join(o.home, "classes.jsa") }

// Start runs the node with its data in dir; port 0 lets it choose one.
func (o OpenSearch) Start(ctx context.Context, dir string, port int) (*process.Process, int, error) {
	return o.start(ctx, dir, port, "-XX:SharedArchiveFile="+o.archiveFile())
}

func (o OpenSearch) start(ctx context.Context, dir string, port int, flag string) (*process.Process, int, error) {
	ports := filepath.Join(dir, "logs", "http.ports")
	if err := os.RemoveAll(ports); err != nil { // of a node that was killed
		return nil, 0, fmt.Errorf("clear ports file: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(ports), 0o755); err != nil { // the node does not make it in time
		return nil, 0, fmt.Errorf("make log folder: %w", err)
	}
	args := append(o.flags(), flag, "-cp", o.classPath(), "Launcher", o.home,
		"path.data="+filepath.Join(dir, "data"), "path.logs="+filepath.Join(dir, "logs"),
		"http.port="+strconv.Itoa(port), "transport.port=0")
	p, err := process.Start(process.Spec{Path: o.java.program(), Args: args, Dir: dir, Log: filepath.Join(dir, "log")})
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err = p.Await(ctx, func(ctx context.Context) (err error) {
		if port, err = openSearchPort(ports); err != nil {
			return err
		}
		// The node answers before the indexes of its last run are back, so ask for those.
		return probe(ctx, fmt.Sprintf("http://127.0.0.1:%d/_cluster/health?wait_for_status=yellow&timeout=1s", port))
	})
	return started(p, port, err)
}

func (o OpenSearch) flags() []string {
	flags := []string{
		"-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable",
		"-Dlog4j2.disable.jmx=true", "-Dio.netty.allocator.numDirectArenas=0",
	}
	if o.java.major >= 21 {
		flags = append(flags, "--enable-native-access=ALL-UNNAMED")
	}
	if o.java.major >= 23 {
		flags = append(flags, "--sun-misc-unsafe-memory-access=allow")
	}
	return flags
}

func (o OpenSearch) classPath() string {
	return filepath.Join(o.home, "launcher.jar") + ":" + filepath.Join(o.home, "lib", "*")
}

// openSearchPort reads the first address of the file the node writes, such as 127.0.0.1:40123.
func openSearchPort(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	first, _, whole := strings.Cut(string(b), "\n")
	if !whole {
		return 0, errors.New("ports file is not complete")
	}
	u, err := url.Parse("http://" + first)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Port())
}
