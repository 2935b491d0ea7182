package event

import (
	"errors"
	"fmt"
	"net/url"
)

// Validate tells a producer everything that is wrong with an event that it made. It asks for more than
// Decode does: the type must be of this contract and what routing depends on must be set. Sequence is
// not asked for, because the publisher sets it. Each joined error wraps ErrInvalid.
func Validate(e *Event) error {
	faults := []error{checkAttributes(e), checkSections(e)}
	require := func(name string, ok bool) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: %s is missing", ErrInvalid, name))
		}
	}
	if _, ok := Lookup(e.Type); !ok && e.Type != "" {
		faults = append(faults, fmt.Errorf("%w: type %.80q is not of this contract", ErrInvalid, e.Type))
	}
	if _, err := url.Parse(e.Source); err != nil {
		faults = append(faults, fmt.Errorf("%w: source is not a URI reference", ErrInvalid))
	}
	require("subject", e.Subject != "")
	require("partitionkey", e.PartitionKey != "")
	require("recordedtime", writable(e.Recorded))
	require("severitynumber", e.Severity != 0)
	require("data.site", e.Data.Site != "")
	require("data.runtime", e.Data.Runtime != "")
	require("data.observed", e.Data.Observed != "")
	if t := e.Data.Task; t != nil {
		require("data.task.id", t.ID != "")
		require("data.task.state", t.State != "")
	}
	if c := e.Data.Cause; c != nil {
		require("data.cause.class", c.Class != "")
		require("data.cause.say", c.Say != "")
	}
	return errors.Join(faults...)
}

// checkSections asks for the sections that the type can't be without.
func checkSections(e *Event) error {
	info, _ := Lookup(e.Type)
	for _, section := range info.Needs {
		if !e.Data.has(section) {
			return fmt.Errorf("%w: %s needs data.%s", ErrInvalid, e.Type, section)
		}
	}
	return nil
}

func (d *Data) has(s Section) bool {
	switch s {
	case SectionTask:
		return d.Task != nil
	case SectionCause:
		return d.Cause != nil
	case SectionCollector:
		return d.Collector != nil
	case SectionAction:
		return d.Action != nil
	case SectionIncident:
		return d.Incident != nil
	case SectionNative:
		return d.Native != nil
	}
	return false
}
