package awsfake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// operation decodes a request, does it and returns the answer, which its protocol encodes.
type operation func(ctx context.Context, a *AWS, r request) (answer, error)

// request is a call whose sender is known.
type request struct {
	body []byte     // of the JSON protocols
	form url.Values // of the Query protocol
	sender
}

// sender is what the signature says of a request.
type sender struct{ service, region, key, session string }

// answer is what the SDK's codec writes, or the inside of a result of the Query protocol.
type answer struct {
	output smithy.Serializable
	xml    string
}

// jsonOp makes an operation of the JSON protocols from a function on its decoded input.
func jsonOp[I any](do func(a *AWS, ctx context.Context, in *I) (smithy.Serializable, error)) operation {
	return func(ctx context.Context, a *AWS, r request) (answer, error) {
		in := new(I)
		if err := json.Unmarshal(r.body, in); err != nil {
			return answer{}, refuse("SerializationException", "%v", err)
		}
		out, err := do(a, ctx, in)
		return answer{output: out}, err
	}
}

// ServeHTTP answers one call.
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.busy.Add(1)
	defer a.busy.Add(-1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	target := r.Header.Get("X-Amz-Target")
	_, name, isJSON := strings.Cut(target, ".")
	from := senderOf(r)
	call := request{body: body, sender: from}
	if !isJSON {
		call.form, _ = url.ParseQuery(string(body)) // a bad form has no action
		name = call.form.Get("Action")
	}
	out, err := a.do(r.Context(), from.service+":"+name, call)
	if r.Context().Err() != nil {
		return
	}
	p := protocolOf(target, from.service)
	if err == nil {
		err = p.write(w, name, out)
	}
	if err != nil {
		p.refuse(w, err)
	}
}

func (a *AWS) do(ctx context.Context, name string, r request) (answer, error) {
	if err := a.admit(name, r); err != nil {
		return answer{}, err
	}
	op, ok := a.operations[name]
	if !ok {
		return answer{}, refuse("UnknownOperationException", "%s is not modelled", name)
	}
	return op(ctx, a, r)
}

// admit checks who calls, and how often.
func (a *AWS) admit(name string, r request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[name]++
	good, known := a.sessions[r.session]
	switch {
	case r.key == "":
		return &refusal{status: 403, code: "MissingAuthenticationToken", message: "Request is missing Authentication Token"}
	case r.region != a.o.Region:
		return &refusal{status: 403, code: "SignatureDoesNotMatch", message: "Credential should be scoped to a valid region."}
	case known && !good && r.service == "ecs":
		return refuse("ExpiredTokenException", "The security token included in the request is expired")
	case known && !good:
		return &refusal{status: 403, code: "ExpiredToken", message: "The security token included in the request is expired"}
	}
	return a.spend(name)
}

// senderOf reads the credential's scope: key/date/region/service/aws4_request.
func senderOf(r *http.Request) sender {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope, _, _ := strings.Cut(rest, ",")
	parts := strings.Split(scope, "/")
	if len(parts) != 5 {
		return sender{service: "unsigned"}
	}
	return sender{key: parts[0], region: parts[2], service: parts[3], session: r.Header.Get("X-Amz-Security-Token")}
}

// refusal is an error as AWS tells it.
type refusal struct {
	status        int
	code, message string
}

func (e *refusal) Error() string { return fmt.Sprintf("%s: %s", e.code, e.message) }

// refuse is a refusal with status 400, which most have.
func refuse(code, format string, args ...any) error {
	return &refusal{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
}

// written reads what the SDK's codec wrote into a request that is sent nowhere.
func written(p smithyhttp.ClientProtocol, out smithy.Serializable) ([]byte, error) {
	schema := &smithy.Schema{}
	req, ok := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if !ok {
		return nil, refuse("InternalFailure", "the SDK made no request")
	}
	if err := p.SerializeRequest(context.Background(), smithy.NewOperationSchema(schema, schema, schema), out, req); err != nil {
		return nil, err
	}
	return io.ReadAll(req.GetStream())
}
