// Package redact takes secrets and terminal tricks out of text that strangers wrote: log tails, label
// values, probe output and native records.
//
// Collectors call it before such text enters an event, so that nothing behind them has to. It is always
// on. Guarantees: the result is valid UTF-8 without control characters, within the limits, and holds
// none of the secrets that the rules know: values of secret-looking names, user information in URLs,
// authorization headers, keys of well-known shapes, JSON Web Tokens and private keys. The rules look at
// shapes, so a secret without one ("the word is swordfish") stays; what is masked reads [redacted].
// Nothing here fails: every input has a result.
package redact
