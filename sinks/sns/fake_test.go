package sns

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// fakeSNS is a stand-in for SNS and says so: nothing here is Amazon's. It speaks the Query protocol on a
// socket and refuses what the documentation of SNS says is refused, more strictly than any emulator does:
// subject, size in bytes with attributes, types and emptiness of attributes, FIFO ids, batch limits,
// characters that XML does not have. Tests against moto stand in the e2e package.
type fakeSNS struct {
	limit int // bytes per message and per batch; 0 is 256 KiB

	mu        sync.Mutex
	published []published
	refused   []string
	calls     int
	// spoil may change or drop the results of a batch.
	spoil func(*batchResult)
}

type published struct {
	Topic, Subject, Message, Group, Dedup string
	Attributes                            map[string][2]string // type, value
}

type batchResult struct {
	XMLName    xml.Name  `xml:"http://sns.amazonaws.com/doc/2010-03-31/ PublishBatchResponse"`
	Successful []success `xml:"PublishBatchResult>Successful>member"`
	Failed     []failure `xml:"PublishBatchResult>Failed>member"`
}

type success struct {
	ID        string `xml:"Id"`
	MessageID string `xml:"MessageId"`
}

type failure struct {
	ID          string `xml:"Id"`
	Code        string
	Message     string
	SenderFault bool
}

func (f *fakeSNS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		refuse(w, 400, "MalformedQueryString", err.Error())
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	topic := r.PostForm.Get("TopicArn")
	region := regionOf(topic)
	if !strings.Contains(r.Header.Get("Authorization"), "/"+region+"/sns/aws4_request") {
		refuse(w, 400, "InvalidParameter", "Invalid parameter: TopicArn")
		return
	}
	if strings.HasSuffix(topic, ":gone") {
		refuse(w, 404, "NotFound", "Topic does not exist")
		return
	}
	switch action := r.PostForm.Get("Action"); action {
	case "PublishBatch":
		f.batch(w, r.PostForm, topic)
	case "Publish":
		p := parse(r.PostForm, "", topic)
		if why := f.check(p); why != "" {
			refuse(w, 400, "InvalidParameter", "Invalid parameter: "+why)
			return
		}
		f.published = append(f.published, p)
		fmt.Fprint(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>`)
	case "GetTopicAttributes":
		fmt.Fprintf(w, `<GetTopicAttributesResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><GetTopicAttributesResult><Attributes><entry><key>MaximumMessageSize</key><value>%d</value></entry></Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>`, f.max())
	default:
		refuse(w, 400, "InvalidAction", action)
	}
}

func (f *fakeSNS) max() int {
	if f.limit == 0 {
		return 256 << 10
	}
	return f.limit
}

func (f *fakeSNS) batch(w http.ResponseWriter, form url.Values, topic string) {
	result := batchResult{}
	ids, total := map[string]bool{}, 0
	var taken []published
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("PublishBatchRequestEntries.member.%d.", i)
		id := form.Get(prefix + "Id")
		if id == "" {
			break
		}
		ids[id] = true
		p := parse(form, prefix, topic)
		total += p.size()
		if why := f.check(p); why != "" {
			f.refused = append(f.refused, why)
			result.Failed = append(result.Failed, failure{id, "InvalidParameter", "Invalid parameter: " + why, true})
			continue
		}
		taken = append(taken, p)
		result.Successful = append(result.Successful, success{id, "message-" + strconv.Itoa(len(f.published)+len(taken))})
	}
	n := len(result.Failed) + len(result.Successful)
	switch {
	case n == 0:
		refuse(w, 400, "EmptyBatchRequest", "no entries")
	case n > 10:
		refuse(w, 400, "TooManyEntriesInBatchRequest", strconv.Itoa(n))
	case len(ids) != n:
		refuse(w, 400, "BatchEntryIdsNotDistinct", "twice")
	case total > f.max():
		refuse(w, 400, "BatchRequestTooLong", strconv.Itoa(total))
	default:
		if f.spoil != nil {
			f.spoil(&result)
		}
		f.published = append(f.published, taken...)
		_ = xml.NewEncoder(w).Encode(result)
	}
}

func parse(form url.Values, prefix, topic string) published {
	p := published{
		Topic: topic, Subject: form.Get(prefix + "Subject"), Message: form.Get(prefix + "Message"),
		Group: form.Get(prefix + "MessageGroupId"), Dedup: form.Get(prefix + "MessageDeduplicationId"), Attributes: map[string][2]string{},
	}
	for i := 1; form.Has(fmt.Sprintf("%sMessageAttributes.entry.%d.Name", prefix, i)); i++ {
		entry := fmt.Sprintf("%sMessageAttributes.entry.%d.", prefix, i)
		p.Attributes[form.Get(entry+"Name")] = [2]string{form.Get(entry + "Value.DataType"), form.Get(entry + "Value.StringValue")}
	}
	return p
}

func (p *published) size() int {
	n := len(p.Message)
	for name, a := range p.Attributes {
		n += len(name) + len(a[0]) + len(a[1])
	}
	return n
}

// check names the broken rule, or "".
func (f *fakeSNS) check(p published) string {
	fifo := strings.HasSuffix(p.Topic, ".fifo")
	switch {
	case p.Message == "" || !inXML(p.Message):
		return "Message"
	case p.Subject == "" || len(p.Subject) >= 100 || strings.ContainsFunc(p.Subject, func(r rune) bool { return r < ' ' || r > '~' }) || p.Subject[0] == ' ':
		return "Subject " + strconv.Quote(p.Subject)
	case p.size() > f.max():
		return fmt.Sprintf("Message too long: %d", p.size())
	case len(p.Attributes) > 10:
		return "more attributes than raw delivery takes"
	case fifo && (!fifoIDValid(p.Group) || !fifoIDValid(p.Dedup)):
		return fmt.Sprintf("MessageGroupId %q or MessageDeduplicationId %q", p.Group, p.Dedup)
	case !fifo && (p.Group != "" || p.Dedup != ""):
		return "MessageGroupId"
	}
	for name, a := range p.Attributes {
		if why := checkAttribute(name, a); why != "" {
			return why
		}
	}
	return ""
}

func checkAttribute(name string, a [2]string) string {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.'
	}
	switch {
	case name == "" || len(name) > 256 || strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }):
		return "attribute name " + strconv.Quote(name)
	case a[1] == "" || !inXML(a[1]):
		return "attribute value of " + name
	case a[0] == "Number":
		if _, err := strconv.ParseFloat(a[1], 64); err != nil {
			return "attribute number " + name
		}
	case a[0] == "String.Array":
		if !json.Valid([]byte(a[1])) {
			return "attribute array " + name
		}
	case !slices.Contains([]string{"String", "Binary"}, a[0]):
		return "attribute type of " + name
	}
	return ""
}

func fifoIDValid(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// inXML says whether SQS, which has the same rule in its documentation, takes the text.
func inXML(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

// refuse answers with an error of the Query protocol.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(message))
	fmt.Fprintf(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>r</RequestId></ErrorResponse>`, code, text.String())
}

func (f *fakeSNS) all() []published {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.published)
}
