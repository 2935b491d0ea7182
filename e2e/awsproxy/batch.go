package awsproxy

import (
	"cmp"
	"encoding/json"
	"net/http"

	"github.com/bellbuoy/bellbuoy/e2e/faults"
)

// partial forwards a batch without its first, third, ... entry, and tells the caller that those failed on
// the server's side. What is no batch is forwarded whole.
func (p *Proxy) partial(w http.ResponseWriter, r *http.Request, body []byte, call int, rule Rule) {
	var in map[string]json.RawMessage
	var entries []map[string]json.RawMessage
	if json.Unmarshal(body, &in) != nil || json.Unmarshal(in["Entries"], &entries) != nil || len(entries) == 0 {
		p.forward(w, r, body, call)
		return
	}
	var kept []map[string]json.RawMessage
	var failed []any
	for i, entry := range entries {
		if i%2 == 1 {
			kept = append(kept, entry)
			continue
		}
		failed = append(failed, map[string]any{
			"Id": entry["Id"], "Code": cmp.Or(rule.Code, "InternalError"), "Message": cmp.Or(rule.Message, "We encountered an internal error. Please try again."), "SenderFault": false,
		})
	}
	out := map[string]json.RawMessage{}
	if len(kept) > 0 {
		in["Entries"] = raw(kept)
		said, err := p.ask(r, raw(in), call)
		if err != nil {
			faults.Reset()(w, r, nil)
			return
		}
		if said.status != http.StatusOK || json.Unmarshal(said.body, &out) != nil {
			said.tell(w)
			return
		}
	}
	var also []any
	if len(out["Failed"]) > 0 && json.Unmarshal(out["Failed"], &also) == nil {
		failed = append(failed, also...)
	}
	out["Failed"] = raw(failed)
	if out["Successful"] == nil {
		out["Successful"] = raw([]any{})
	}
	answer{http.StatusOK, http.Header{"Content-Type": r.Header["Content-Type"]}, raw(out)}.tell(w)
}

// raw encodes what came out of JSON.
func raw(v any) json.RawMessage {
	body, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null") // it came out of JSON
	}
	return body
}
