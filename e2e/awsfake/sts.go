package awsfake

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func stsOperations() map[string]operation {
	return map[string]operation{"sts:AssumeRole": assumeRole, "sts:GetCallerIdentity": callerIdentity}
}

var (
	roleARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,577}$`)
	sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

// assumeRole gives credentials that hold until ExpireSessions. A role of Options.Roles asks for its
// external id; without Options.Roles every role may be assumed.
func assumeRole(_ context.Context, a *AWS, r request) (answer, error) {
	role, session, id := r.form.Get("RoleArn"), r.form.Get("RoleSessionName"), r.form.Get("ExternalId")
	seconds := 3600
	if asked := r.form.Get("DurationSeconds"); asked != "" {
		seconds, _ = strconv.Atoi(asked) // no number is out of the range
	}
	switch {
	case !roleARN.MatchString(role):
		return answer{}, refuse("ValidationError", "%s is invalid", role)
	case !sessionName.MatchString(session):
		return answer{}, refuse("ValidationError", "Value '%s' at 'roleSessionName' failed to satisfy constraint", session)
	case seconds < 900 || seconds > 43_200:
		return answer{}, refuse("ValidationError", "Value '%d' at 'durationSeconds' failed to satisfy constraint", seconds)
	}
	if wanted, ok := a.o.Roles[role]; a.o.Roles != nil && (!ok || wanted != id) {
		return answer{}, &refusal{status: http.StatusForbidden, code: "AccessDenied", message: "User: " + a.principal(r.sender) + " is not authorized to perform: sts:AssumeRole on resource: " + role}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	token := "session-" + a.uuid()
	a.sessions[token] = true
	assumed := strings.Replace(strings.Replace(role, ":iam:", ":sts:", 1), ":role/", ":assumed-role/", 1) + "/" + session
	return answer{xml: fmt.Sprintf(`<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:%[1]s</AssumedRoleId><Arn>%[2]s</Arn></AssumedRoleUser>`+
		`<Credentials><AccessKeyId>ASIA%[3]d</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>%[4]s</SessionToken><Expiration>%[5]s</Expiration></Credentials>`,
		escaped(session), escaped(assumed), len(a.sessions), token, a.Now().Add(time.Duration(seconds)*time.Second).UTC().Format(time.RFC3339))}, nil
}

func callerIdentity(_ context.Context, a *AWS, r request) (answer, error) {
	return answer{xml: fmt.Sprintf(`<Arn>%s</Arn><UserId>AIDAEXAMPLE</UserId><Account>%s</Account>`, escaped(a.principal(r.sender)), a.o.Account)}, nil
}

func (a *AWS) principal(s sender) string {
	if s.session != "" {
		return "arn:aws:sts::" + a.o.Account + ":assumed-role/" + s.key
	}
	return "arn:aws:iam::" + a.o.Account + ":user/" + s.key
}

// ExpireSessions ends every session that was handed out so far: calls with it answer ExpiredToken, or
// ExpiredTokenException where the service calls it so.
func (a *AWS) ExpireSessions() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for token := range a.sessions {
		a.sessions[token] = false
	}
}

func escaped(s string) string {
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(s)) // a builder takes everything
	return text.String()
}
