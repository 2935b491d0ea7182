package harness

import "testing"

// OpenSearch is a node without security. It is shared: a test uses index names of its own.
type OpenSearch struct {
	*server
	URL     string
	Version string
}

// OpenSearch returns the running node, which it starts again if an earlier test has stopped it.
func (s *Stand) OpenSearch(t testing.TB) *OpenSearch {
	t.Helper()
	o, err := s.openSearch.get(s.startOpenSearch)
	s.must(t, err)
	o.Start(t)
	return o
}

func (s *Stand) startOpenSearch() (*OpenSearch, error) {
	kit, dir, err := s.open("opensearch")
	if err != nil {
		return nil, err
	}
	found, err := kit.OpenSearch()
	if err != nil {
		return nil, err
	}
	node, err := newServer(dir, found.Start)
	if err != nil {
		return nil, err
	}
	s.onClose(node.end)
	return &OpenSearch{server: node, URL: "http://" + node.address(), Version: found.Version}, nil
}
