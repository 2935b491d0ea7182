// Package silence holds notices of incidents back for a time, with an owner, a comment and an end.
//
// A silence matches by a condition like that of a route. It holds from its start to its end, or within windows of
// the week in an IANA zone. The fold of incidents stamps each transition with the silence that holds it; the sinks
// that wake somebody leave those out, the index shows them all the same. When a silence ends while its incident is
// open, the fold tells it once more.
//
// The package is pure: it has no clock and no bucket. Silences come from the config and from the SILENCES bucket,
// which the wiring reads. A condition that fails on an event does not hold it: at worst somebody is told.
package silence
