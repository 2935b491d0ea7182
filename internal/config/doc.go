// Package config reads Bellbuoy's configuration: files, environment and defaults become one checked
// Config, or a list of every fault with its file, line and column.
//
// It runs once at start and once per reload, before anything is built. Guarantees: unknown keys are
// faults, all faults are reported at once, and secrets come only from ${env:NAME} and ${file:PATH},
// which are expanded per field and never printed. On a fault nothing of the new config is used.
package config
