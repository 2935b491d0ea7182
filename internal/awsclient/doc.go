// Package awsclient makes the AWS configuration that every client of an AWS service is built from.
//
// It stands between the config's aws block and the components that talk to AWS (sinks/sns now). One
// Loader per process: the credential chain, the HTTP connections and each assumed role's credentials
// are shared by all clients, which live as long as the process.
//
// Guarantees: Load reads the environment and the shared config files, dials nothing and starts
// nothing; credentials are found at the first call of a service. Every client retries the same way
// (Retryer), whatever the environment says about retry modes.
//
// On failure, Load returns faults that name the field to change; a call's own errors are those of the
// SDK and are judged by the component that made the call.
package awsclient
