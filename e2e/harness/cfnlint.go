package harness

import "testing"

// CFNLint returns the path of the checker of CloudFormation templates.
func (s *Stand) CFNLint(t testing.TB) string {
	t.Helper()
	kit, _, err := s.open("cfn-lint")
	s.must(t, err)
	path, err := kit.CFNLint()
	s.must(t, err)
	return path
}
