package opensearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/sinks"
)

// Check tries the target with the rights that Send has, and changes nothing. It looks for the index
// template, and posts one document under require_alias to an alias that does not exist: the target
// checks who asks and whether it may write in bulk, then refuses the document. What it can't try without
// writing are the rights on the index itself.
func (s *Sink) Check(ctx context.Context) error {
	installed, err := s.setup.installed(ctx)
	if err != nil {
		return fmt.Errorf("look for index template %s: %w", s.setup.template(), err)
	}
	if installed == 0 && !s.cfg.ManageTemplates {
		return fmt.Errorf("look for index template %s: %w", s.setup.template(), missing("manage_templates is false"))
	}
	b := &batch{}
	b.body = fmt.Appendf(nil, `{"create":{"_index":"%s-events-check","_id":"check"}}`+"\n"+`{"@timestamp":%q}`+"\n", s.cfg.Prefix, time.Now().UTC().Format(time.RFC3339))
	a, err := s.client.do(ctx, http.MethodPost, bulkPath+"&require_alias=true", ndjson, b.body)
	if err != nil {
		return fmt.Errorf("try a bulk request: %w", err)
	}
	if a.status != http.StatusOK {
		err, _ := judgeRequest(a)
		return fmt.Errorf("try a bulk request: %w", asDestination(err))
	}
	return checkItem(a)
}

// checkItem accepts the one refusal that Check asked for.
func checkItem(a answer) error {
	var got bulkAnswer
	if err := json.Unmarshal(a.body, &got); err != nil || len(got.Items) != 1 {
		return errors.New("try a bulk request: the answer is none of OpenSearch; is the address right?")
	}
	it := got.Items[0].Create
	if it.Error != nil && it.Error.Type == "index_not_found_exception" {
		return nil
	}
	err := judge(it.Status, it.Error)
	var permanent *sinks.Permanent
	if err == nil || errors.As(err, &permanent) {
		return fmt.Errorf("try a bulk request: expected to be refused for a missing alias, got status %d", it.Status)
	}
	return fmt.Errorf("try a bulk request: %w", err)
}
