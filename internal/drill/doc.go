// Package drill ends a real container on purpose, replaces it, or lets its health check fail, so that the whole way
// from the daemon to every sink can be seen to work.
//
// It needs no image: the running program's own static binary is imported as one, and Act is what that
// binary does inside the container. The container carries Label, by which the collector marks its
// events as a drill. Guarantee: the container and the image are removed when Run's caller is done with
// them; what an interrupted drill left behind is removed by the next.
package drill
