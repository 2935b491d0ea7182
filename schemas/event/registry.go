package event

import (
	"slices"
	"strconv"
)

// EnvelopeSchema is the URI of the JSON Schema that every event fits, whatever its type.
const EnvelopeSchema = schemaRoot + "envelope/1.0.json"

// TypeInfo describes one event type of the contract.
type TypeInfo struct {
	Type Type
	// Major is the version in the type itself; Minor grows with every field that is added.
	Major, Minor int
	// Needs are the sections of data that an event of the type can't be without.
	Needs []Section
	// Severity holds unless SeverityOf finds more in the data.
	Severity Severity
	// Means is what the event says, in one sentence.
	Means string
}

// Name returns <kind>.<event>, the name of the schema.
func (i TypeInfo) Name() string { return i.Type.Kind() + "." + i.Type.Event() }

// Schema returns the URI of the JSON Schema, with the minor version, such as
// https://bellbuoy.io/schemas/task.stopped/1.0.json.
func (i TypeInfo) Schema() string { return string(i.appendSchema(nil)) }

func (i TypeInfo) appendSchema(b []byte) []byte {
	kind, name := i.Type.split()
	b = append(append(b, schemaRoot...), kind...)
	b = append(append(append(b, '.'), name...), '/')
	b = strconv.AppendInt(b, int64(i.Major), 10)
	b = strconv.AppendInt(append(b, '.'), int64(i.Minor), 10)
	return append(b, ".json"...)
}

// Section names a member of Data that belongs to one kind of event.
type Section string

// The sections.
const (
	SectionTask      Section = "task"
	SectionCause     Section = "cause"
	SectionCollector Section = "collector"
	SectionAction    Section = "action"
	SectionIncident  Section = "incident"
	SectionNative    Section = "native"
)

// The sections that each kind needs.
var (
	needTask      = []Section{SectionTask}
	needStop      = []Section{SectionTask, SectionCause}
	needCollector = []Section{SectionCollector}
	needAction    = []Section{SectionAction}
	needIncident  = []Section{SectionIncident}
	needNative    = []Section{SectionNative}
)

// registry is the table of all types, in the order of the reference.
var registry = [...]TypeInfo{
	{TaskCreated, 1, 0, needTask, Info, "The task exists and has not run yet."},
	{TaskStarted, 1, 0, needTask, Info, "A run of the task began."},
	{TaskHealthy, 1, 0, needTask, Info, "The health probe passes, for the first time or again."},
	{TaskUnhealthy, 1, 0, needTask, Warn, "The health probe failed as often as its policy allows."},
	{TaskPaused, 1, 0, needTask, Info, "The task is frozen; its processes keep their memory."},
	{TaskResumed, 1, 0, needTask, Info, "A paused task runs on."},
	{TaskOOM, 1, 0, needTask, Error, "The kernel killed a process of the task for memory; the task may live on."},
	{TaskStopping, 1, 0, needTask, Info, "Somebody asked the task to stop."},
	{TaskStopped, 1, 0, needStop, Error, "A run of the task ended; the cause says why and whether that was expected."},
	{TaskRemoved, 1, 0, needTask, Info, "The runtime forgot the task."},
	{TaskUpdated, 1, 0, needTask, Info, "Something about the task changed that has no type of its own."},

	{ServiceUpdated, 1, 0, needNative, Info, "A service changed or told how it is doing."},
	{DeploymentUpdated, 1, 0, needNative, Info, "A deployment began, moved on, completed or failed."},
	{NodeUpdated, 1, 0, needNative, Info, "A host joined, left, drained or changed."},
	{ImagePushed, 1, 0, needNative, Info, "An image was pushed to a registry."},
	{ImageScanned, 1, 0, needNative, Info, "The scan of an image ended."},

	{CollectorStarted, 1, 0, needCollector, Info, "A collector watches its runtime and says what it sees there."},
	{CollectorStopped, 1, 0, needCollector, Warn, "A collector stopped watching."},
	{CollectorGap, 1, 0, needCollector, Warn, "A collector was blind for a time; says from when to when and what was reconciled."},
	{CollectorHeartbeat, 1, 0, needCollector, Info, "A collector is alive and watching."},
	{CollectorConflict, 1, 0, needCollector, Error, "Two live collectors claim the same source."},

	{IncidentOpened, 1, 0, needIncident, Error, "A workload has a problem that was not there before."},
	{IncidentUpdated, 1, 0, needIncident, Error, "More is known about an open incident."},
	{IncidentResolved, 1, 0, needIncident, Info, "The workload recovered; says how long it was down. Bellbuoy gives it the severity of what it ends."},

	{ActionRequested, 1, 0, needAction, Info, "A restart handler decided to act, or would act in dry-run mode."},
	{ActionDenied, 1, 0, needAction, Info, "A restart handler decided not to act and says which rule refused."},
	{ActionStarted, 1, 0, needAction, Info, "A restart handler acts now."},
	{ActionSucceeded, 1, 0, needAction, Info, "The action worked: the new run lives."},
	{ActionFailed, 1, 0, needAction, Warn, "The action did not work; the budget decides about another attempt."},
	{ActionGaveUp, 1, 0, needAction, Error, "The budget is spent; a human must look."},

	{NativePassed, 1, 0, needNative, Info, "A native event without a type of its own, passed through whole."},
}

// Types returns every type of the contract in the order of the reference.
func Types() []TypeInfo { return slices.Clone(registry[:]) }

// Lookup returns the registered type; ok is false for a type that is not of this contract.
func Lookup(t Type) (info TypeInfo, ok bool) {
	i := slices.IndexFunc(registry[:], func(row TypeInfo) bool { return row.Type == t })
	if i < 0 {
		return TypeInfo{}, false
	}
	return registry[i], true
}
