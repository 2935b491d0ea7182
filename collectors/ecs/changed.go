package ecs

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// revision is one make of a workload.
type revision struct {
	Name   string  `json:"n"`            // as the events have it
	By     string  `json:"by,omitempty"` // the deployment that brought it
	Images []image `json:"i,omitempty"`
}

type image struct {
	Container string `json:"c"`
	Ref       string `json:"r,omitempty"`
	Digest    string `json:"d,omitempty"`
}

// revisionOf returns what a task shows of its revision.
func revisionOf(d *event.Data, startedBy string) revision {
	v := revision{Name: d.Revision}
	if isDeployment(startedBy) {
		v.By = startedBy
	}
	for i := range d.Task.Containers {
		if c := &d.Task.Containers[i]; c.Image != "" { // what AWS injects has none
			v.Images = append(v.Images, image{c.Name, c.Image, c.ImageDigest})
		}
	}
	return v
}

// base is a revision's name without digests.
func base(name string) string {
	name, _, _ = strings.Cut(name, "@")
	return name
}

// show notes a revision that a task shows and reports whether that says something new. One that was there
// before is the newest again only for another deployment: tasks of several run side by side.
func (w *workload) show(v revision) bool {
	if v.Name == "" {
		return false
	}
	for i := range w.Revisions {
		old := &w.Revisions[i]
		if base(old.Name) != base(v.Name) || old.By != v.By {
			continue
		}
		if old.Name == v.Name || old.Name == base(old.Name) || v.Name == base(v.Name) {
			return old.complete(v)
		}
	}
	w.Revisions = append(w.Revisions, v)
	if n := len(w.Revisions); n > maxRevisions {
		w.Revisions = slices.Delete(w.Revisions, 0, n-maxRevisions)
	}
	return true
}

// complete adds digests that were not known before.
func (v *revision) complete(with revision) bool {
	changed := false
	images := slices.Clone(v.Images)
	for _, one := range with.Images {
		i := slices.IndexFunc(images, func(o image) bool { return o.Container == one.Container })
		if i < 0 {
			images, changed = append(images, one), true
		} else if images[i].Digest == "" && one.Digest != "" {
			images[i].Digest, changed = one.Digest, true
		}
	}
	if v.Name == base(v.Name) && with.Name != v.Name {
		v.Name, changed = with.Name, true
	}
	v.Images = images
	return changed
}

// changes returns what differs between a revision and the one before it, nil if one of them is not known.
func (w *workload) changes(name string) []event.Change {
	at := -1
	for i := range w.Revisions {
		if w.Revisions[i].Name == name || base(w.Revisions[i].Name) == name {
			at = i
		}
	}
	if at < 1 {
		return nil
	}
	return diff(&w.Revisions[at-1], &w.Revisions[at])
}

func diff(from, to *revision) []event.Change {
	var out []event.Change
	several := len(to.Images) > 1 || len(from.Images) > 1
	add := func(what, container, a, b string) {
		if a == b {
			return
		}
		if several && container != "" {
			what += " " + container
		}
		out = append(out, event.Change{What: what, From: a, To: b})
	}
	add("revision", "", base(from.Name), base(to.Name))
	names := map[string][2]image{}
	for _, i := range from.Images {
		names[i.Container] = [2]image{i, {}}
	}
	for _, i := range to.Images {
		names[i.Container] = [2]image{names[i.Container][0], i}
	}
	order := make([]string, 0, len(names))
	for name := range names {
		order = append(order, name)
	}
	slices.SortFunc(order, cmp.Compare)
	for _, name := range order {
		a, b := names[name][0], names[name][1]
		add("image", name, a.Ref, b.Ref)
		if a.Digest != "" && b.Digest != "" {
			add("digest", name, a.Digest, b.Digest)
		}
	}
	return out
}

// refreshWorkloads writes what is known of the workloads of tasks that live again before the bucket lets it go.
func (m *machine) refreshWorkloads(ctx context.Context) error {
	keys := map[string]bool{}
	for i := range m.tasks {
		s := &m.tasks[i]
		s.mu.Lock()
		for _, e := range s.entries {
			if k := &e.shown; e.lives {
				keys[workloadKey(k.Cluster, k.Service, k.family)] = true
			}
		}
		s.mu.Unlock()
	}
	oldest := time.Now().Add(-refreshAfter).Unix()
	for key := range keys {
		w, revision, err := read[workload](ctx, m.shelf, key, -1)
		if err != nil {
			return err
		}
		if revision == 0 || w.Saved > oldest {
			continue
		}
		if err := update(ctx, m.shelf, key, func(w *workload) bool { return w.Saved <= oldest }); err != nil {
			return err
		}
	}
	return nil
}
