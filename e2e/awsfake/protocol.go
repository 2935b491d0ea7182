package awsfake

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// protocol is how a service speaks.
type protocol struct {
	contentType string
	namespace   string // of a Query service: the answer's; of a JSON one: before the type of an error
	query       bool   // the Query protocol
	compatible  bool   // JSON, with the codes of the Query protocol it replaced in a header
}

func protocolOf(target, service string) protocol {
	switch {
	case strings.HasPrefix(target, "AmazonSQS."):
		return protocol{contentType: "application/x-amz-json-1.0", namespace: "com.amazonaws.sqs#", compatible: true}
	case target != "":
		return protocol{contentType: "application/x-amz-json-1.1"}
	case service == "sts":
		return protocol{contentType: "text/xml", namespace: "https://sts.amazonaws.com/doc/2011-06-15/", query: true}
	}
	return protocol{contentType: "text/xml", namespace: "http://sns.amazonaws.com/doc/2010-03-31/", query: true}
}

func (p protocol) write(w http.ResponseWriter, operation string, out answer) error {
	w.Header().Set("Content-Type", p.contentType)
	w.Header().Set("X-Amzn-Requestid", requestID)
	if p.query {
		fmt.Fprintf(w, `<%[1]sResponse xmlns="%[2]s"><%[1]sResult>%[3]s</%[1]sResult><ResponseMetadata><RequestId>%[4]s</RequestId></ResponseMetadata></%[1]sResponse>`,
			operation, p.namespace, out.xml, requestID)
		return nil
	}
	body, err := encode(out)
	if err != nil {
		return err
	}
	_, _ = w.Write(body) // the caller may be gone
	return nil
}

const requestID = "00000000-0000-4000-8000-000000000000"

// encode writes an output as the JSON protocols do. The version of the protocol is in the content type
// only, and the service in the request's head only.
func encode(out answer) ([]byte, error) {
	if out.output == nil {
		return []byte("{}"), nil
	}
	return written(awsjson.New11(schemas.AmazonEC2ContainerServiceV20141113), out.output)
}

func (p protocol) refuse(w http.ResponseWriter, err error) {
	said := &refusal{status: http.StatusInternalServerError, code: "InternalFailure", message: err.Error()}
	errors.As(err, &said)
	w.Header().Set("Content-Type", p.contentType)
	w.Header().Set("X-Amzn-Requestid", requestID)
	fault := "Sender"
	if said.status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	if p.query {
		var text strings.Builder
		_ = xml.EscapeText(&text, []byte(said.message)) // a builder takes everything
		w.WriteHeader(said.status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="%s"><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
			p.namespace, fault, said.code, text.String(), requestID)
		return
	}
	if p.compatible {
		w.Header().Set("X-Amzn-Query-Error", QueryCode(said.code)+";"+fault)
	}
	body, err := json.Marshal(map[string]string{"__type": p.namespace + said.code, "message": said.message})
	if err != nil {
		return // two strings
	}
	w.WriteHeader(said.status)
	_, _ = w.Write(body) // the caller may be gone
}

// queryCodes are the codes that SQS had in the Query protocol and still tells in a header, from its model.
// The SDK makes them the error's code.
var queryCodes = map[string]string{
	"BatchEntryIdsNotDistinct":     "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
	"BatchRequestTooLong":          "AWS.SimpleQueueService.BatchRequestTooLong",
	"EmptyBatchRequest":            "AWS.SimpleQueueService.EmptyBatchRequest",
	"InvalidBatchEntryId":          "AWS.SimpleQueueService.InvalidBatchEntryId",
	"KmsAccessDenied":              "KMS.AccessDeniedException",
	"KmsDisabled":                  "KMS.DisabledException",
	"KmsInvalidKeyUsage":           "KMS.InvalidKeyUsageException",
	"KmsInvalidState":              "KMS.InvalidStateException",
	"KmsNotFound":                  "KMS.NotFoundException",
	"KmsOptInRequired":             "KMS.OptInRequired",
	"KmsThrottled":                 "KMS.ThrottlingException",
	"MessageNotInflight":           "AWS.SimpleQueueService.MessageNotInflight",
	"PurgeQueueInProgress":         "AWS.SimpleQueueService.PurgeQueueInProgress",
	"QueueDeletedRecently":         "AWS.SimpleQueueService.QueueDeletedRecently",
	"QueueDoesNotExist":            "AWS.SimpleQueueService.NonExistentQueue",
	"QueueNameExists":              "QueueAlreadyExists",
	"TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
	"UnsupportedOperation":         "AWS.SimpleQueueService.UnsupportedOperation",
}

// QueryCode is what SQS calls an error of its JSON protocol in the header that the SDK takes the code from.
func QueryCode(code string) string {
	if old, ok := queryCodes[code]; ok {
		return old
	}
	return code
}
