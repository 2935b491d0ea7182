// Package awsprobe is a list of what AWS does that the program relies on, or that a stand-in of AWS is
// trusted with, each with a check over the wire by the SDK's clients.
//
// The same list runs against every stand: the one of package awsfake, moto, and an account of yours. A stand
// has a list of the checks that it is known to fail, with the reason; a check that fails and is not on it is
// a fault, and so is one that passes and is on it. What is wrong with the list itself is best told by who ran
// it against AWS.
//
// A check makes what it needs under names of its own and removes it. Against an account it runs no task and
// keeps no service above zero, so what it costs is some hundred requests.
package awsprobe
