package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/ecs"
	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/ecslife"
	"github.com/bellbuoy/bellbuoy/e2e/process"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// awsRole makes this program a stand-in of AWS that throttles as documented; its CPU is not the collector's.
const awsRole = "-serve-aws"

// What is compared with ECS: tasks of one service in each of so many clusters.
const (
	lookClusters = 20
	lookTasks    = 500
	changesEach  = 6 // of each task that comes through the queue
)

// ecs measures the collector of ECS: from the queue to the stream, the table of causes, and a comparison.
func (b *bench) ecs(ctx context.Context) error {
	if !b.parts[partECS] {
		return nil
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set the environment of AWS's client: %w", err)
		}
	}
	s, err := startCloud(ctx, b.dir)
	if err != nil {
		return err
	}
	defer func() { _ = s.process.Stop(5 * time.Second) }()
	fmt.Fprintf(b.out, "\nECS: receive from a stand-in of SQS in another process, publish, delete; the stream is in this process:\n")
	for _, d := range []struct {
		durability bus.Durability
		rate, cpu  string
		events     int
	}{
		{bus.Relaxed, "ecs_events_s", "ecs_cpu_s_m", b.received},
		{bus.Strict, "ecs_strict_events_s", "", b.received / 4},
	} {
		var rates, cpus []float64
		for round := range min(b.rounds, 3) {
			run, err := s.drain(ctx, d.durability, d.events)
			if err != nil {
				return fmt.Errorf("ECS, %s: %w", d.durability, err)
			}
			fmt.Fprintf(b.out, "%5d  %-18s %10.0f %8.1f\n", round+1, d.durability, run.rate(), run.perMillion())
			rates, cpus = append(rates, run.rate()), append(cpus, run.perMillion())
		}
		b.figures.set(d.rate, median(rates))
		b.figures.set(d.cpu, median(cpus))
	}
	b.figures.set("classify_us", classify())
	return b.look(ctx, s)
}

// cloud is the child.
type cloud struct {
	process *process.Process
	url     string
}

func startCloud(ctx context.Context, dir string) (*cloud, error) {
	p, url, err := startChild(ctx, awsRole, filepath.Join(dir, "aws.log"))
	if err != nil {
		return nil, err
	}
	return &cloud{p, url}, nil
}

// ask calls one of the child's own paths and returns what it says.
func (s *cloud) ask(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask the stand-in of AWS: %w", err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	return string(said), err
}

// collector returns a supervised collector of a queue.
func (s *cloud) collector(ctx context.Context, r *rig, queue string, publisher collectors.Publisher, reporter func(collectors.Report), clusters ...string) (*collectors.Supervisor, error) {
	store, err := r.bus.Bucket(ctx, bus.VersionsBucket)
	if err != nil {
		return nil, err
	}
	sup, err := collectors.NewSupervisor(collectors.Deps{Site: "bench", Node: "bench", Publisher: publisher})
	if err != nil {
		return nil, err
	}
	cfg := ecs.DefaultConfig()
	cfg.QueueURL, cfg.Endpoint, cfg.Pollers, cfg.Clusters = queue, s.url, 8, clusters
	return sup, sup.Add("ecs", event.ECS, func(l *collectors.Link) (collectors.Collector, error) {
		return ecs.New(cfg.WithAWS(awsclient.Config{}), ecs.Deps{
			Site: "bench", Node: "bench", Publisher: l, Reporter: watcher{l, reporter}, Bucket: store, AWS: &awsclient.Loader{},
		})
	})
}

// watcher sees what a collector reports.
type watcher struct {
	*collectors.Link
	seen func(collectors.Report)
}

// Report passes it on.
func (w watcher) Report(r collectors.Report) {
	w.Link.Report(r)
	if w.seen != nil {
		w.seen(r)
	}
}

// drain fills a queue that is watched with so many state changes and measures until it is empty and all of them are in the stream.
func (s *cloud) drain(ctx context.Context, d bus.Durability, events int) (sample, error) {
	r, err := newRig(ctx, d)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = r.close() }()
	tasks := max(events/changesEach, 1)
	queue, err := s.ask(ctx, "/-/prepare?tasks="+strconv.Itoa(tasks))
	if err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, runBound)
	defer cancel()
	var group errgroup.Group
	publisher := r.bus.NewPublisher()
	defer group.Wait() //nolint:errcheck // what a run ends with is looked at below
	running, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error { return publisher.Run(running) })
	sees := make(chan struct{}, 1)
	sup, err := s.collector(ctx, r, queue, publisher, func(report collectors.Report) {
		if report.Connected {
			signal1(sees)
		}
	}, "nothing-to-compare")
	if err != nil {
		return sample{}, err
	}
	group.Go(func() error { return sup.Run(running) })
	select {
	case <-sees:
	case <-ctx.Done():
		return sample{}, errors.New("the collector does not see its queue")
	}
	if _, err := s.ask(ctx, "/-/send?queue="+url.QueryEscape(queue)); err != nil {
		return sample{}, err
	}
	w := startWatch()
	for {
		left, err := s.ask(ctx, "/-/left?queue="+url.QueryEscape(queue))
		if err != nil {
			return sample{}, err
		}
		if left == "0" {
			break
		}
		if err := backoff.Sleep(ctx, 10*time.Millisecond); err != nil {
			return sample{}, fmt.Errorf("%s messages are left: %w", left, err)
		}
	}
	run := w.stop(tasks * changesEach)
	told := 0
	err = r.bus.Tail(ctx, bus.TailOptions{}, func(d bus.Delivery) error {
		if d.Event.Data.Task != nil {
			told++
		}
		return d.Err
	})
	if err == nil && told != run.events {
		err = fmt.Errorf("%d of %d state changes are in the stream", told, run.events)
	}
	return run, err
}

// signal1 tells a channel that holds one.
func signal1(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// classify is what the table of causes takes for its dearest case, in µs.
func classify() float64 {
	long := "pull image manifest has been retried 5 time(s): failed to resolve ref registry.example/shop/app:7: registry.example/shop/app:7: unexpected answer"
	code := int64(3)
	table, worst := cause.ECS(), 0.0
	for _, e := range []cause.Evidence{
		{StopCode: "EssentialContainerExited", StopReason: "Essential container in task exited", Service: true, ExitCode: &code, Parts: []cause.Part{{Name: "app", ExitCode: &code}}},
		{StopCode: "TaskFailedToStart", StopReason: "Task failed to start", StartFailed: true, Parts: []cause.Part{{Name: "app", Reason: "CannotPullContainerError: " + long}}},
		{StopCode: "SomethingNew", StopReason: long, Parts: []cause.Part{{Name: "app", Reason: long}, {Name: "envoy", Reason: long}}},
	} {
		const times = 5000
		w := startWatch()
		for range times {
			table.Classify(e)
		}
		worst = max(worst, float64(w.stop(times).cpu.Microseconds())/times)
	}
	return worst
}

// look measures the first comparison of many tasks with ECS.
func (b *bench) look(ctx context.Context, s *cloud) error {
	r, err := newRig(ctx, bus.Relaxed)
	if err != nil {
		return err
	}
	defer func() { _ = r.close() }()
	clusters, tasks := b.compared, lookTasks
	queue, err := s.ask(ctx, fmt.Sprintf("/-/tasks?clusters=%d&each=%d", clusters, tasks))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*runBound)
	defer cancel()
	var group errgroup.Group
	defer group.Wait() //nolint:errcheck // what a run ends with is looked at below
	running, stop := context.WithCancel(ctx)
	defer stop()
	publisher, done := r.bus.NewPublisher(), make(chan struct{}, 1)
	group.Go(func() error { return publisher.Run(running) })
	var names []string
	for i := range clusters {
		names = append(names, "prod-"+strconv.Itoa(i))
	}
	sup, err := s.collector(ctx, r, queue, publisher, func(report collectors.Report) {
		if report.Containers == clusters*tasks {
			signal1(done)
		}
	}, names...)
	if err != nil {
		return err
	}
	w := startWatch()
	group.Go(func() error { return sup.Run(running) })
	select {
	case <-done:
	case <-ctx.Done():
		return errors.New("the comparison with ECS does not end")
	}
	took := w.stop(clusters * tasks)
	said, err := s.ask(ctx, "/-/calls")
	if err != nil {
		return err
	}
	var calls struct{ Calls, Throttled int }
	if err := json.Unmarshal([]byte(said), &calls); err != nil {
		return fmt.Errorf("read what the stand-in of AWS counted: %w", err)
	}
	fmt.Fprintf(b.out, "a first comparison of %d tasks in %d clusters, with the wait for an empty queue: %.1f s, %d calls, %d throttled\n",
		took.events, clusters, took.wall.Seconds(), calls.Calls, calls.Throttled)
	b.figures.set("reconcile_s", took.wall.Seconds())
	b.figures.set("reconcile_calls", float64(calls.Calls))
	b.figures.set("reconcile_throttled", float64(calls.Throttled))
	return nil
}

// serveAWS is the child: it writes its URL to out and serves until ctx ends.
func serveAWS(ctx context.Context, _ []string, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	// What comes through a queue and what is compared are two accounts, so that neither has the other's tasks.
	queues, tasks := awsfake.New(awsfake.Options{}), awsfake.New(awsfake.Options{Buckets: true})
	made, bodies := map[string]*awsfake.Queue{}, map[string][]string{}
	var comparing atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if comparing.Load() {
			tasks.ServeHTTP(w, r)
			return
		}
		queues.ServeHTTP(w, r)
	})
	mux.HandleFunc("/-/prepare", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("tasks"))
		life := ecslife.Churn(queues, "prod", n)
		q := queues.CreateQueue("events-"+strconv.Itoa(len(made)), nil)
		made[q.URL], bodies[q.URL] = q, life.Bodies
		_, _ = io.WriteString(w, q.URL)
	})
	mux.HandleFunc("/-/send", func(_ http.ResponseWriter, r *http.Request) {
		queue := r.URL.Query().Get("queue")
		made[queue].Send(bodies[queue]...)
	})
	mux.HandleFunc("/-/left", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strconv.Itoa(made[r.URL.Query().Get("queue")].Len()))
	})
	mux.HandleFunc("/-/tasks", func(w http.ResponseWriter, r *http.Request) {
		clusters, _ := strconv.Atoi(r.URL.Query().Get("clusters"))
		each, _ := strconv.Atoi(r.URL.Query().Get("each"))
		populate(tasks, clusters, each)
		comparing.Store(true)
		_, _ = io.WriteString(w, tasks.CreateQueue("events", nil).URL)
	})
	mux.HandleFunc("/-/calls", func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		for _, op := range []string{"ListClusters", "ListTasks", "DescribeTasks", "ListServices", "DescribeServices", "DescribeTaskDefinition"} {
			n += tasks.Count("ecs:" + op)
		}
		_, _ = fmt.Fprintf(w, `{"Calls":%d,"Throttled":%d}`, n, tasks.Throttled())
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func populate(a *awsfake.AWS, clusters, each int) {
	d := a.PutDefinition(types.TaskDefinition{
		Family: aws.String("web"), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("web:1")}},
	})
	for c := range clusters {
		name := "prod-" + strconv.Itoa(c)
		a.PutService(name, types.Service{ServiceName: aws.String("web"), TaskDefinition: d.TaskDefinitionArn, DesiredCount: int32(each), RunningCount: int32(each)})
		for range each {
			a.Start(aws.ToString(a.NewTask(name, d, awsfake.NewTask{Service: "web"}).TaskArn), time.Second)
		}
	}
}
