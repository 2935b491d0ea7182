package opensearch

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/sinks"
)

// templateVersion grows with every change to the mappings or settings. A target with a higher one
// belongs to a newer program and is left as it is.
const templateVersion = 2

// templatePriority beats the templates that distributions bring along for all names.
const templatePriority = 200

//go:embed mappings.json
var mappings []byte

// setup makes sure, once, that the target has the templates.
type setup struct {
	cfg    Config
	strict bool
	client *client
	logger *slog.Logger

	turn chan struct{} // holds one token; who has it may touch done
	done bool
}

func newSetup(cfg Config, strict bool, c *client, logger *slog.Logger) *setup {
	s := &setup{cfg: cfg, strict: strict, client: c, logger: logger, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// ensure does the setup unless it has succeeded before. Its error has the class of Send's.
func (s *setup) ensure(ctx context.Context) error {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("wait for the set-up of index template %s: %w", s.template(), ctx.Err())
	}
	if s.done {
		return nil
	}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("set up index template %s: %w", s.template(), err)
	}
	s.done = true
	return nil
}

func (s *setup) template() string { return s.cfg.Prefix + "-events" }

func (s *setup) run(ctx context.Context) error {
	installed, err := s.installed(ctx)
	if err != nil {
		return err
	}
	switch {
	case installed == templateVersion && !s.strict, installed > templateVersion:
		return nil
	case !s.cfg.ManageTemplates && installed > 0:
		return nil
	case !s.cfg.ManageTemplates:
		return missing("manage_templates is false; install it with an account that may, or set manage_templates: true")
	}
	err = s.install(ctx)
	var denied *deniedError
	switch {
	case err == nil:
		s.logger.Info("index template installed", "template", s.template(), "version", templateVersion, "before", installed)
		return nil
	case errors.As(err, &denied) && installed > 0:
		s.logger.Warn("index template is old and may not be upgraded", "template", s.template(), "version", installed, "want", templateVersion)
		return nil
	case errors.As(err, &denied):
		return missing(err.Error())
	}
	return err
}

// missing refuses to write into indexes of which the target would guess the mapping.
func missing(why string) error {
	return &sinks.Throttled{After: setupPause, Err: fmt.Errorf("the index template does not exist, and nothing is written without it: %s", why)}
}

// deniedError is a right that the account does not have.
type deniedError struct{ err error }

func (d *deniedError) Error() string { return d.err.Error() }
func (d *deniedError) Unwrap() error { return d.err }

// installed returns the version of the index template, or 0 if there is none. One without a version is 1.
func (s *setup) installed(ctx context.Context) (int, error) {
	a, err := s.client.do(ctx, http.MethodGet, "/_index_template/"+s.template()+"?filter_path=index_templates.index_template.version", "", nil)
	if err != nil {
		return 0, err
	}
	switch a.status {
	case http.StatusNotFound:
		return 0, nil
	case http.StatusOK:
	case http.StatusForbidden:
		return 0, &sinks.Throttled{After: setupPause, Err: fmt.Errorf("the role may not look whether the index template exists; it needs the cluster right indices:admin/index_template/get: %s", textOf(failureOf(a), a))}
	default:
		err, _ := judgeRequest(a)
		return 0, asDestination(err)
	}
	var got struct {
		Templates []struct {
			Template struct {
				Version *int `json:"version"`
			} `json:"index_template"`
		} `json:"index_templates"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return 0, fmt.Errorf("read the installed template: %w", err)
	}
	if len(got.Templates) == 0 || got.Templates[0].Template.Version == nil {
		return 1, nil // filter_path leaves nothing of a template without a version
	}
	return max(1, *got.Templates[0].Template.Version), nil
}

// asDestination keeps what only documents can be from being said of the target.
func asDestination(err error) error {
	var permanent *sinks.Permanent
	if errors.As(err, &permanent) {
		return &sinks.Throttled{After: setupPause, Err: permanent.Err}
	}
	return err
}

// object is JSON to send.
type object map[string]any

// install puts every template. The component templates come first, because the index template is
// refused without them; the user's own is made empty once and never touched again.
func (s *setup) install(ctx context.Context) error {
	var mapping object
	if err := json.Unmarshal(mappings, &mapping); err != nil {
		return fmt.Errorf("read own mappings: %w", err)
	}
	if s.strict {
		mapping["dynamic"] = "strict"
	}
	prefix := s.cfg.Prefix
	settings, mapped, custom := prefix+"-settings@v1", prefix+"-mappings@v1", prefix+"@custom"
	meta := object{"managed_by": "bellbuoy"}
	steps := []struct {
		path string
		body object
	}{
		{"/_component_template/" + settings, object{"version": templateVersion, "_meta": meta, "template": object{"settings": s.settings()}}},
		{"/_component_template/" + mapped, object{"version": templateVersion, "_meta": meta, "template": object{"mappings": mapping}}},
		{"/_index_template/" + s.template(), object{
			"index_patterns": []string{prefix + "-events-*"},
			"composed_of":    []string{settings, mapped, custom},
			"priority":       templatePriority,
			"version":        templateVersion,
			"_meta":          meta,
		}},
	}
	if err := s.makeCustom(ctx, custom); err != nil {
		return err
	}
	for _, step := range steps {
		if err := s.put(ctx, step.path, step.body); err != nil {
			return err
		}
	}
	return nil
}

func (s *setup) settings() object {
	return object{"index": object{
		"codec":                "best_compression",
		"refresh_interval":     fmt.Sprintf("%dms", s.cfg.RefreshInterval.Milliseconds()),
		"number_of_shards":     "1",
		"auto_expand_replicas": "0-1",
		"mapping":              object{"total_fields": object{"limit": "400"}},
		"query":                object{"default_field": []string{"message", "cause.say", "container.reason"}},
		"sort":                 object{"field": "@timestamp", "order": "desc"},
	}}
}

// makeCustom makes the user's component template unless it exists. Create answers 400 if another sink
// was faster, so what counts is that it exists in the end.
func (s *setup) makeCustom(ctx context.Context, name string) error {
	path := "/_component_template/" + name
	a, err := s.client.do(ctx, http.MethodGet, path, "", nil)
	if err != nil || a.status == http.StatusOK {
		return err
	}
	err = s.put(ctx, path+"?create=true", object{"template": object{}})
	if err == nil {
		return nil
	}
	if a, again := s.client.do(ctx, http.MethodGet, path, "", nil); again == nil && a.status == http.StatusOK {
		return nil
	}
	return err
}

func (s *setup) put(ctx context.Context, path string, body object) error {
	b, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	a, err := s.client.do(ctx, http.MethodPut, path, "application/json", b)
	if err != nil {
		return fmt.Errorf("put %s: %w", path, err)
	}
	switch {
	case a.status/100 == 2:
		return nil
	case a.status == http.StatusForbidden:
		return &deniedError{fmt.Errorf("put %s: the role may not install it: %s", path, textOf(failureOf(a), a))}
	}
	err, _ = judgeRequest(a)
	return fmt.Errorf("put %s: %w", path, asDestination(err))
}
