package ecs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// deniedFor is how long nothing is asked of a group that may not be asked for, silentFor of one that does not
	// answer, and for one thing that AWS refuses to tell.
	deniedFor, silentFor = 5 * time.Minute, 10 * time.Second
	// enoughWait is after how long without an answer a group counts as one that does not answer.
	enoughWait = time.Second
	// gatherFor is how long a question waits for others that can be asked together with it.
	gatherFor = 20 * time.Millisecond
)

var errNoAnswer = errors.New("ECS did not answer in time, and is not asked again yet")

// answers remembers what was asked for. Of many who want the same at once one asks for all, and things of one
// group, such as the services of a cluster, are asked for together. It starts nothing: who asks first asks in its
// own time, and who still has time when that is over asks anew. It is safe for concurrent use.
type answers[T any] struct {
	// find asks for things of a group. What is not in the map does not exist.
	find     func(ctx context.Context, group string, names []string) (map[string]*T, error)
	together int           // how many names find takes
	most     int           // how many answers are kept
	age      time.Duration // for how long an answer holds
	lasting  bool          // an older answer is better than none
	logger   *slog.Logger

	mu     sync.Mutex // guards what follows
	known  map[subject]answer[T]
	asked  map[subject]*question[T]
	groups map[string]*group[T]
}

type subject struct{ group, name string }

type answer[T any] struct {
	value *T // nil without an error: it does not exist
	err   error
	until time.Time
}

// question is asked or about to be. Until it is asked, names belong to the mutex of answers, then to who asks.
type question[T any] struct {
	group string
	names []string
	full  chan struct{}
	done  chan struct{} // closed when the rest is set

	results map[string]answer[T]
	cut     bool // there is no answer because the time of who asked was over
}

// group is what names of a group have in common. It is forgotten when there is nothing to say of it.
type group[T any] struct {
	asking int          // questions that are not settled
	open   *question[T] // the one of them that may still take names
	err    error        // why it was not answered last
	until  time.Time    // nothing is asked before, for that reason
}

func newAnswers[T any](a *answers[T]) *answers[T] {
	a.known, a.asked, a.groups = map[subject]answer[T]{}, map[subject]*question[T]{}, map[string]*group[T]{}
	return a
}

// get returns what is known of a thing or asks for it within ctx; nil if it does not exist.
func (a *answers[T]) get(ctx context.Context, group, name string) (*T, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q, first, known := a.look(subject{group, name})
		switch {
		case q == nil:
			return known.value, known.err
		case first:
			a.ask(ctx, q)
		default:
			select {
			case <-q.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if first || !q.cut {
			return q.results[name].value, q.results[name].err
		}
	}
}

// look returns what is known or, if that is nothing, the question that brings it, and whether the caller is the
// first in it and so has to ask it.
func (a *answers[T]) look(s subject) (q *question[T], first bool, known answer[T]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	known, ok := a.known[s]
	if ok && now.Before(known.until) {
		return nil, false, known
	}
	g := a.groups[s.group]
	if g == nil {
		g = &group[T]{}
		a.groups[s.group] = g
	}
	if now.Before(g.until) {
		return nil, false, a.instead(known, g.err)
	}
	if q = a.asked[s]; q != nil {
		return q, false, answer[T]{}
	}
	if first = g.open == nil; first {
		g.asking++
		g.open = &question[T]{group: s.group, full: make(chan struct{}), done: make(chan struct{}), results: map[string]answer[T]{}}
	}
	q = g.open
	q.names = append(q.names, s.name)
	a.asked[s] = q
	if len(q.names) >= a.together {
		close(q.full)
		g.open = nil
	}
	return q, first, answer[T]{}
}

// instead is the answer if there is none but an older one.
func (a *answers[T]) instead(old answer[T], err error) answer[T] {
	if a.lasting && old.value != nil {
		return answer[T]{value: old.value}
	}
	return answer[T]{err: err}
}

func (a *answers[T]) ask(ctx context.Context, q *question[T]) {
	gather := time.NewTimer(gatherFor)
	select {
	case <-q.full:
	case <-gather.C:
	case <-ctx.Done():
	}
	gather.Stop()
	a.mu.Lock()
	if g := a.groups[q.group]; g.open == q {
		g.open = nil
	}
	a.mu.Unlock()
	began := time.Now()
	found, err := a.find(ctx, q.group, q.names)
	a.settle(q, found, err, time.Since(began))
}

// settle keeps what came of a question that took so long.
func (a *answers[T]) settle(q *question[T], found map[string]*T, err error, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer close(q.done)
	now := time.Now()
	one, all, err := weigh(err, took)
	q.cut = err != nil && one == 0 && all == 0
	for _, name := range q.names {
		s := subject{q.group, name}
		result := answer[T]{value: found[name], until: now.Add(a.age)}
		if err != nil {
			result = a.instead(a.known[s], err)
			result.until = now.Add(one)
		}
		q.results[name] = result
		delete(a.asked, s)
		if err == nil || one > 0 {
			a.keep(s, result)
		}
	}
	g := a.groups[q.group]
	g.asking--
	switch {
	case err == nil:
		g.err, g.until = nil, time.Time{}
	case all > 0:
		if denied(err) && !denied(g.err) {
			a.logger.Warn("ends of tasks are told with less evidence", "err", err)
		}
		g.err, g.until = err, now.Add(all)
	}
	if g.err == nil && g.asking == 0 {
		delete(a.groups, q.group)
	}
}

// weigh returns for how long an error holds for the things that were asked for, and for how long for all of
// their group; neither, if it only says that the time of who asked was over.
func weigh(err error, took time.Duration) (one, all time.Duration, kept error) {
	r, refused := asRefusal(err)
	switch {
	case refused && r.reason == reasonDenied:
		return 0, deniedFor, err
	case refused && r.reason == reasonOther:
		return silentFor, 0, err
	case refused:
		return 0, silentFor, err
	case errors.Is(err, context.DeadlineExceeded) && took >= enoughWait:
		return 0, silentFor, errNoAnswer
	}
	return 0, 0, err
}

// keep makes room for an answer: of a few others the oldest goes.
func (a *answers[T]) keep(s subject, result answer[T]) {
	if _, ok := a.known[s]; !ok && len(a.known) >= a.most {
		var oldest subject
		seen := 0
		for other, k := range a.known {
			if seen == 0 || k.until.Before(a.known[oldest].until) {
				oldest = other
			}
			if seen++; seen == 8 {
				break
			}
		}
		delete(a.known, oldest)
	}
	a.known[s] = result
}
