package cause

import (
	"cmp"
	"regexp"
	"strings"
)

// A text of the platform names things in places of its own; each pattern has the name as a group. They have no counted
// repetitions, which make them slow: the length of texts and names is bounded elsewhere.
var (
	imageIn      = regexp.MustCompile(`(?i)(?:manifest for|access denied for|failed to resolve ref(?:erence)?|repository with name) ["']?([\w./:@-]*\w)`)
	secretIn     = regexp.MustCompile(`arn:[\w-]+:secretsmanager:[\w-]*:\d*:secret:([\w/+=.@-]+)`)
	parameterIn  = regexp.MustCompile(`(?i)(?:parameters?:? \[?|parameter/)(/?[\w./-]+)`)
	groupIn      = regexp.MustCompile(`(?i)targetgroup/([\w-]+)|\(target-?group ([\w-]+)\)`)
	balancerIn   = regexp.MustCompile(`(?i)\(elb ([\w-]+)\)`)
	instanceIn   = regexp.MustCompile(`(?i)\(instance \(?([\w-]+)|\b(i-[0-9a-f]{8,17})\b`)
	endpointIn   = regexp.MustCompile(`(?i)https?://([\w.-]+\w)|lookup ([\w.-]+\w)|dial tcp ([\d.]{7,15}:\d+)|(?:between the task and|reach) ([\w -]+\w)`)
	deploymentIn = regexp.MustCompile(`(?i)\((?:deployment|task-?set) ([\w/-]+)\)`)
	resourceIn   = regexp.MustCompile(`(?i)\bresource:(\w+)`)
	commandIn    = regexp.MustCompile(`(?i)exec: \\?"([^"\\]+)\\?"|exec ([\w./-]+): `)
)

// named returns what the pattern's groups match, or empty.
func named(re *regexp.Regexp, text string) string {
	if text == "" {
		return ""
	}
	match := re.FindStringSubmatch(text[:min(len(text), maxText)])
	if match == nil {
		return ""
	}
	return start(cmp.Or(match[1:]...), maxName)
}

const maxName = 300

// theImage is the image that could not be had.
func (e *Evidence) theImage() string {
	image := ""
	if e.from.part != none {
		image = e.Parts[e.from.part].Image
	}
	if image = cmp.Or(image, named(imageIn, e.from.text)); image == "" && len(e.Parts) < 2 {
		image = e.Task.Image
	}
	if image == "" {
		return "its image"
	}
	return "image " + image
}

func (e *Evidence) theSecret() string {
	text := e.from.text
	if name := named(secretIn, text); name != "" {
		return "secret " + name
	}
	if strings.Contains(lower(text), "ssm") {
		if name := named(parameterIn, text); name != "" {
			return "parameter " + name
		}
		return "a parameter"
	}
	return "a secret"
}

// theGroup is the target group, or the classic load balancer, whose checks failed.
func (e *Evidence) theGroup() string {
	if name := named(groupIn, e.from.text); name != "" {
		return "target group " + name
	}
	return cmp.Or(behind("load balancer ", named(balancerIn, e.from.text)), "its load balancer")
}

// shortage is what there was too little of.
func (e *Evidence) shortage() string {
	switch what := strings.ToUpper(named(resourceIn, e.from.text)); what {
	case "":
	case "CPU", "GPU", "ENI":
		return "not enough " + what
	default:
		return "not enough " + strings.ToLower(what)
	}
	if strings.HasSuffix(lower(e.from.text), "agent") {
		return "the agent of the host is not connected"
	}
	return e.reason()
}

func (e *Evidence) theHost() string {
	if host := cmp.Or(named(instanceIn, e.StopReason), e.Host); host != "" {
		return "host " + host
	}
	return "its host"
}

// deployment is the one that the scheduler named, else the one that is known from elsewhere.
func (e *Evidence) deployment() string {
	return cmp.Or(e.Deployment, named(deploymentIn, e.StopReason))
}

const maxReason = 200

// reason is the text that the cause came from without its token, short enough for a sentence.
func (e *Evidence) reason() string {
	text := e.from.text
	if token := Token(text); token != "" {
		text = strings.TrimLeft(text[strings.Index(text, token)+len(token):], ": ")
	}
	why := cmp.Or(start(strings.TrimRight(text, " ."), maxReason), Token(e.from.text))
	return cmp.Or(why, behind("could not attach ", e.FailedAttachment), "no reason given")
}

// start returns at most n bytes of a valid text, cut between characters.
func start(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// container names the part that the stop came from where there are several.
func (e *Evidence) container() string {
	if e.from.part == none || len(e.Parts) < 2 {
		return ""
	}
	return e.Parts[e.from.part].Name
}

// initiatorName says who the initiator was, as far as it is known.
func (e *Evidence) initiatorName(r *Rule) string {
	switch r.Initiator {
	case byUser, byHandler:
		return e.Requester
	case byScheduler:
		if family(r.Class) == "health" {
			return "" // the deployment of the service has no part in it
		}
		return e.deployment()
	case byHost, byPlatform:
		return cmp.Or(named(instanceIn, e.StopReason), e.Host)
	}
	return ""
}
