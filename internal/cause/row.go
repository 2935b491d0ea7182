package cause

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Row is a row of a user's own, as the config has it.
type Row struct {
	// Name is shown in the cause; empty is the condition.
	Name string `yaml:"name"`
	// Runtime is docker, containerd or ecs; empty is every runtime.
	Runtime string `yaml:"runtime"`
	// When is a condition over the Names.
	When string `yaml:"when"`
	// Class is a path in the tree of causes, such as exit.error, or a new one.
	Class string `yaml:"class"`
	// Confidence is fact, likely or guess.
	Confidence string `yaml:"confidence"`
	// Initiator is who made it stop; empty is what the class's family has.
	Initiator string `yaml:"initiator"`
	Expected  bool   `yaml:"expected"`
	// Say is one sentence with Placeholders.
	Say string `yaml:"say"`
	// Next is what to do first, in one sentence with Placeholders; empty is nothing.
	Next string `yaml:"next"`
}

// DefaultRow returns what holds where a row does not say otherwise.
func DefaultRow() Row {
	return Row{Confidence: string(event.Likely), Say: "{code}{after}"}
}

// families are the first words of the classes of built-in rows, of every runtime, and who usually makes
// such a stop.
var families = map[string]string{
	"exit": byApp, "oom": byHost, "start": byRuntime, "health": byUnknown, "user": byUser, "scheduler": byScheduler,
	"deploy": byScheduler, "host": byHost, "spot": byPlatform, "infra": byPlatform, "unknown": byUnknown,
}

const maxSentence = 500

// Rules compiles a user's rows for one runtime, in their order; they go in front of the runtime's table.
// The error joins the faults of every row.
func Rules(rows []Row, runtime event.Runtime) (Table, error) {
	var t Table
	var errs []error
	for _, row := range rows {
		if row.Runtime != "" && row.Runtime != string(runtime) {
			continue
		}
		rule, err := row.Rule()
		errs = append(errs, err)
		t = append(t, rule)
	}
	return t, errors.Join(errs...)
}

// Validate reports every fault of the row.
func (r Row) Validate() error {
	_, err := r.Rule()
	return err
}

// Rule compiles the row. The error joins all its faults.
func (r Row) Rule() (Rule, error) {
	name := event.UserRule + title(cmp.Or(r.Name, r.When))
	rule := Rule{
		Name: name, Class: r.Class, Confidence: event.Confidence(r.Confidence), Expected: r.Expected, Say: r.Say, Next: r.Next,
		Initiator: cmp.Or(r.Initiator, families[family(r.Class)], byUnknown), own: true,
	}
	errs := []error{
		oneOfWords("runtime", r.Runtime, "", string(event.Docker), string(event.Containerd), string(event.ECS)),
		checkClass(r.Class),
		oneOfWords("confidence", r.Confidence, string(event.Fact), string(event.Likely), string(event.Guess)),
		oneOfWords("initiator", r.Initiator, "", byApp, byRuntime, byUser, byHost, byPlatform, byScheduler, byUnknown),
		checkSay(r.Say), checkNext(r.Next),
	}
	if strings.TrimSpace(r.When) == "" {
		return rule, errors.Join(append(errs, fault.At("when", "a row needs a condition, such as exit_code == 42"))...)
	}
	var err error
	if rule.When, err = tests(name, r.When); err != nil {
		errs = append(errs, fault.At("when", "%v", err))
	}
	return rule, errors.Join(errs...)
}

// title is a name or a condition as one short line.
func title(s string) string {
	const enough = 80
	words := []rune(redact.Clean(strings.Join(strings.Fields(s), " ")))
	if len(words) > enough {
		words = append(words[:enough-1], '…')
	}
	return string(words)
}

func oneOfWords(path, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	known = slices.DeleteFunc(known, func(s string) bool { return s == "" })
	hint := ""
	if word := fault.Nearest(value, known); word != "" {
		hint = fmt.Sprintf("; did you mean %q?", word)
	}
	return fault.At(path, "%q is not one of %s%s", value, strings.Join(known, ", "), hint)
}

var dotted = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$`)

func family(class string) string {
	first, _, _ := strings.Cut(class, ".")
	return first
}

// checkClass refuses what can't be a class, and a slip in the name of a family that exists: stops of it
// would be counted apart.
func checkClass(class string) error {
	const enough = 64
	first := family(class)
	switch {
	case class == "":
		return fault.At("class", "a row needs a class, such as exit.error")
	case !dotted.MatchString(class) || len(class) > enough:
		return fault.At("class", "%q must be words of a-z, 0-9 and _ with dots between them, at most %d characters, such as exit.error", title(class), enough)
	case first == byHandler:
		return fault.At("class", "handler is kept for what Bellbuoy's own restart handlers do")
	}
	if _, known := families[first]; known {
		return nil
	}
	for _, f := range sortedFamilies() {
		if slip(first, f) {
			return fault.At("class", "%q looks like a slip; did you mean %q?", class, f+strings.TrimPrefix(class, first))
		}
	}
	return nil
}

func sortedFamilies() []string {
	var list []string
	for f := range families {
		list = append(list, f)
	}
	slices.Sort(list)
	return list
}

// slip reports two words with the same letters in another order.
func slip(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return string(x) == string(y)
}

var braces = regexp.MustCompile(`\{[^{}]*\}?`)

func checkSay(say string) error {
	if strings.TrimSpace(say) == "" {
		return fault.At("say", "a row needs a sentence; leave the key out for %q", DefaultRow().Say)
	}
	return checkSentence("say", say)
}

func checkNext(next string) error {
	if next == "" {
		return nil
	}
	return checkSentence("next", next)
}

func checkSentence(path, say string) error {
	switch {
	case len(say) > maxSentence:
		return fault.At(path, "the sentence has %d bytes; %d are allowed", len(say), maxSentence)
	case redact.Clean(say) != say:
		return fault.At(path, "the sentence must be one line without control characters and blanks at its end")
	}
	var errs []error
	for _, found := range braces.FindAllString(say, -1) {
		word := strings.Trim(found, "{}")
		if found != "{"+word+"}" || !slices.Contains(Placeholders(), word) {
			errs = append(errs, fault.At(path, "unknown placeholder %s%s", found, fault.DidYouMean(word, Placeholders())))
		}
	}
	return errors.Join(errs...)
}
