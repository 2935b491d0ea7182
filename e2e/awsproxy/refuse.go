package awsproxy

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
)

// saying is an error of one service.
type saying struct {
	code    string
	status  int
	message string
}

// sayingOf is what a service says in a case. Codes and statuses are from the services' models and their
// pages "Common Errors"; of KMS only SQS and SNS speak.
func sayingOf(f Fault, service string, c Call) saying {
	rpc := service != "sqs" && service != "sns" && service != "sts" // ECS, EventBridge: JSON 1.1, status 400 for all
	pick := func(query, sns, other string) string {
		switch {
		case rpc:
			return other
		case service == "sns":
			return sns
		}
		return query
	}
	status := http.StatusForbidden
	if rpc {
		status = http.StatusBadRequest
	}
	switch f {
	case Throttled:
		throttle := map[string]int{"sns": http.StatusTooManyRequests, "sqs": http.StatusForbidden}
		code := pick("RequestThrottled", "Throttled", "ThrottlingException")
		if service == "sts" {
			code = "Throttling"
		}
		return saying{code, cmp.Or(throttle[service], http.StatusBadRequest), "Rate exceeded"}
	case Denied:
		message := fmt.Sprintf("User: arn:aws:sts::%s:assumed-role/bellbuoy/task is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
			account, strings.ToLower(c.Action), c.Resource, strings.ToLower(c.Action))
		return saying{pick("AccessDenied", "AuthorizationError", "AccessDeniedException"), status, message}
	case Expired:
		return saying{pick("ExpiredToken", "ExpiredToken", "ExpiredTokenException"), status, "The security token included in the request is expired"}
	case KMSDenied:
		return saying{pick("KmsAccessDenied", "KMSAccessDenied", "KMSAccessDeniedException"), http.StatusBadRequest, "The ciphertext refers to a key that does not exist, or that you may not use."}
	case KMSThrottled:
		return saying{pick("KmsThrottled", "KMSThrottling", "KMSThrottlingException"), http.StatusBadRequest, "The request was denied due to request throttling of KMS."}
	}
	return saying{code: "InternalFailure", status: http.StatusInternalServerError, message: "The request processing has failed."}
}

// saying is what a rule makes the server say.
func (r Rule) saying(c Call) saying {
	service, _, _ := strings.Cut(c.Operation, ":")
	said := sayingOf(r.Fault, service, c)
	if r.Fault == Status {
		said = saying{cmp.Or(r.Code, said.code), cmp.Or(r.HTTPStatus, http.StatusBadRequest), cmp.Or(r.Message, said.message)}
	}
	return said
}

// refuse answers in the place of the server, in the protocol of the caller.
func refuse(w http.ResponseWriter, r *http.Request, c Call, said saying) {
	fault := "Sender"
	if said.status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	w.Header().Set("X-Amzn-Requestid", requestID)
	if r.Header.Get("X-Amz-Target") == "" {
		var text strings.Builder
		_ = xml.EscapeText(&text, []byte(said.message)) // a builder takes everything
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(said.status)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
			fault, said.code, text.String(), requestID)
		return
	}
	kind := said.code
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	if strings.HasPrefix(c.Operation, "sqs:") {
		kind = "com.amazonaws.sqs#" + kind
		w.Header().Set("X-Amzn-Query-Error", awsfake.QueryCode(said.code)+";"+fault)
	}
	body, err := json.Marshal(map[string]string{"__type": kind, "message": said.message})
	if err != nil {
		return // two strings
	}
	w.WriteHeader(said.status)
	_, _ = w.Write(body) // the caller may be gone
}

const requestID = "00000000-0000-4000-8000-000000000000"
