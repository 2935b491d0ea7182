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
