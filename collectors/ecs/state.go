package ecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// recordFormat is raised when an older program would misread what is saved.
const recordFormat = 1

// saved is what is kept of a task. The zero value is a task of which nothing is known.
type saved struct {
	Format    int         `json:"v"`
	ARN       string      `json:"a"`
	Cluster   string      `json:"c"`            // ARN
	Service   string      `json:"g,omitempty"`  // name; empty: no service's
	Family    string      `json:"f,omitempty"`  // of the task definition
	StartedBy string      `json:"b,omitempty"`  // a deployment's id, or free text
	Instance  string      `json:"i,omitempty"`  // container instance ARN
	EC2       string      `json:"e,omitempty"`  // instance that ECS names in the reason of a stop
	Revision  string      `json:"r,omitempty"`  // of the workload, with digests once they are known
	Status    string      `json:"s,omitempty"`  // lastStatus of Version
	State     event.State `json:"t,omitempty"`  // that was told last, history left out
	Version   int64       `json:"n,omitempty"`  // the highest that is known
	Seen      uint64      `json:"w,omitempty"`  // bit i: Version-i was told
	Told      told        `json:"d,omitempty"`  // of the events that are told once
	Health    string      `json:"h,omitempty"`  // that DescribeTasks told last
	Flips     int64       `json:"hn,omitempty"` // how often it was told
	Asked     *request    `json:"q,omitempty"`  // who asked it to stop
	Stop      *stop       `json:"x,omitempty"`  // the stop that was told
	Saved     int64       `json:"z,omitempty"`  // Unix seconds
}

// told are events that are told once of a task.
type told uint8

const (
	toldCreated told = 1 << iota
	toldStarted
	toldStopping
)

// request is a call of StopTask.
type request struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	At     int64  `json:"at"` // Unix ms
}

// stop is the end of a task as it was told.
type stop struct {
	ID      string  `json:"id"`           // of the first event; all others supersede it
	Version int64   `json:"n,omitempty"`  // that proved it
	Settled bool    `json:"ok,omitempty"` // the stream has acknowledged it
	Verdict verdict `json:"v"`            // that was told last
	// Vanished says that no version proved it: nobody knew the task any more.
	Vanished bool `json:"gone,omitempty"`
	// Knew says that the task definition was known, Deployment is the one that took its place.
	Knew       bool   `json:"def,omitempty"`
	Deployment string `json:"by,omitempty"`
	// Attachment is the type of one that failed.
	Attachment string `json:"att,omitempty"`
	From       int64  `json:"from"` // Unix ms: when it began to stop
	At         int64  `json:"at"`   // Unix ms: when it had stopped
}

// verdict is what of a stop is told again if it turns out otherwise.
type verdict struct {
	Class     string `json:"c"`
	Expected  bool   `json:"e,omitempty"`
	Initiator string `json:"i"`
	Name      string `json:"n,omitempty"`
	Codes     string `json:"x,omitempty"` // exit codes by container
}

func verdictOf(d *event.Data) verdict {
	codes := make([]string, 0, len(d.Task.Containers))
	for i := range d.Task.Containers {
		if c := &d.Task.Containers[i]; c.ExitCode != nil {
			codes = append(codes, c.Name+"="+strconv.FormatInt(*c.ExitCode, 10))
		}
	}
	slices.Sort(codes)
	return verdict{d.Cause.Class, d.Cause.Expected, d.Cause.Initiator, d.Cause.InitiatorName, strings.Join(codes, ",")}
}

// id of an event that tells the verdict of a stop which was told before.
func (v verdict) id(first string) string {
	return event.NewID(first, v.Class, strconv.FormatBool(v.Expected), v.Initiator, v.Name, v.Codes)
}

func (r *saved) known() bool { return r.Status != "" }

// sees reports whether a version was told, as far back as that is remembered.
func (r *saved) sees(version int64) bool {
	back := r.Version - version
	return version > 0 && back >= 0 && back < 64 && r.Seen&(1<<back) != 0
}

// see notes a version that is told.
func (r *saved) see(version int64) {
	switch back := r.Version - version; {
	case version <= 0:
	case back < 0:
		r.Seen, r.Version = r.Seen<<min(-back, 64)|1, version
	case back < 64:
		r.Seen |= 1 << back
	}
}

// once reports whether this is the first time.
func (r *saved) once(what told) bool {
	first := r.Told&what == 0
	r.Told |= what
	return first
}

// encode returns what is saved: the record in a line, and behind it the event that says what the task is.
func (r *saved) encode(body []byte) ([]byte, error) {
	r.Format, r.Saved = recordFormat, time.Now().Unix()
	head, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record of %s: %w", r.ARN, err)
	}
	return slices.Concat(head, []byte{'\n'}, body), nil
}

var errFormat = errors.New("it was written by a newer program")

func readRecord(value []byte) (r saved, body []byte, err error) {
	head, body, _ := bytes.Cut(value, []byte{'\n'})
	if err := json.Unmarshal(head, &r); err != nil {
		return saved{}, nil, fmt.Errorf("decode record: %w", err)
	}
	if r.Format > recordFormat {
		return saved{}, nil, fmt.Errorf("decode record of %s: %w", r.ARN, errFormat)
	}
	return r, body, nil
}

// arn are the parts of an ARN that tell its kind of resource apart: arn:partition:service:region:account:kind/name.
type arnParts struct{ region, account, kind, rest string }

func splitARN(arn string) arnParts {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return arnParts{rest: arn}
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	return arnParts{parts[3], parts[4], kind, rest}
}

// clusterIn is the cluster that an ARN of the long form names, such as arn:…:task/cluster/id; empty for one of the
// old form.
func clusterIn(arn string) string {
	a := splitARN(arn)
	name, _, long := strings.Cut(a.rest, "/")
	if !long {
		return ""
	}
	return strings.TrimSuffix(arn, a.kind+"/"+a.rest) + "cluster/" + name
}

// lastPart is what is behind the last slash.
func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// clusterKey is the part of a key that says which cluster.
func clusterKey(cluster string) string {
	a := splitARN(cluster)
	return event.Token(a.region) + "." + event.Token(a.account) + "." + event.Token(a.rest)
}

// taskKey is where a task is saved. The cluster is an ARN; empty, the task's own ARN tells it.
func taskKey(cluster, arn string) string {
	if cluster == "" {
		a := splitARN(arn)
		name, _, _ := strings.Cut(a.rest, "/")
		cluster = "arn:aws:ecs:" + a.region + ":" + a.account + ":cluster/" + name
	}
	return "t." + clusterKey(cluster) + "." + event.Token(lastPart(arn))
}

// tasksOf is the filter for the tasks of a cluster.
func tasksOf(cluster string) string { return "t." + clusterKey(cluster) + ".>" }

// workloadKey is where it is saved what a service or, without one, a family is.
func workloadKey(cluster, service, family string) string {
	if service != "" {
		return "w." + clusterKey(cluster) + ".s." + event.Token(service)
	}
	return "w." + clusterKey(cluster) + ".f." + event.Token(family)
}

func hostKey(arn string) string { return "h." + event.Token(lastPart(arn)) }
func ec2Key(id string) string   { return "e." + event.Token(id) }
