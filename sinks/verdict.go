package sinks

import "errors"

// Verdict folds the verdicts of a batch, one per event: nil if none failed, the failure itself if it is that of the
// whole batch, else a *Partial.
func Verdict(errs []error) error {
	failed, alike := false, true
	for _, err := range errs {
		failed = failed || err != nil
		alike = alike && same(err, errs[0])
	}
	switch {
	case !failed:
		return nil
	case alike:
		return errs[0]
	}
	return &Partial{Errs: errs}
}

// same says whether two verdicts are one failure.
func same(a, b error) bool {
	return a == nil && b == nil || a != nil && errors.Is(a, b) && errors.Is(b, a)
}
