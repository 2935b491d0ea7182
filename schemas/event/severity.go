package event

// Severity is an OpenTelemetry severity number.
type Severity int32

// The severities in use.
const (
	Info  Severity = 9
	Warn  Severity = 13
	Error Severity = 17
	Fatal Severity = 21
)

// String returns the OpenTelemetry severity text, or UNSPECIFIED.
func (s Severity) String() string {
	switch s {
	case Info:
		return "INFO"
	case Warn:
		return "WARN"
	case Error:
		return "ERROR"
	case Fatal:
		return "FATAL"
	}
	return "UNSPECIFIED"
}

// SeverityOf returns the severity that the contract gives the event. A cause decides where there is
// one: an expected stop is information, an unexpected one an error. Otherwise the type decides; a type
// that is not of this contract is information.
func SeverityOf(e *Event) Severity {
	if c := e.Data.Cause; c != nil && (e.Type == TaskStopped || e.Type == TaskUpdated) {
		if c.Expected {
			return Info
		}
		return Error
	}
	if info, ok := Lookup(e.Type); ok {
		return info.Severity
	}
	return Info
}
