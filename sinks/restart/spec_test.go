package restart

import (
	"testing"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
)

const plainSpec = `{"process":{"terminal":false},"hooks":{"poststop":[]},"linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc","path":"/proc/1/ns/ipc"}]}}`

func TestWhatANewTaskWouldNotHave(t *testing.T) {
	for name, c := range map[string]struct {
		spec   string
		change func(*containers.Container)
		want   string
	}{
		"a network namespace of its own": {plainSpec, nil, ""},
		"nothing but a snapshot":         {`{}`, nil, ""},
		"no spec":                        {``, nil, "its spec can't be read"},
		"a broken spec":                  {`{"process":7}`, nil, "its spec can't be read"},
		"hooks":                          {`{"hooks":{"createRuntime":[{"path":"/usr/bin/nerdctl"}]}}`, nil, "its spec has hooks"},
		"the network of another":         {`{"linux":{"namespaces":[{"type":"network","path":"/var/run/netns/a"}]}}`, nil, "network namespace that another tool made"},
		"a terminal":                     {`{"process":{"terminal":true}}`, nil, "it has a terminal"},
		"nerdctl":                        {plainSpec, func(c *containers.Container) { c.Labels = map[string]string{"nerdctl/networks": `["bridge"]`} }, "nerdctl set up its networks"},
		"ctr run --cni":                  {plainSpec, func(c *containers.Container) { c.Extensions = map[string]*anypb.Any{extensionCtrNetwork: {}} }, "ctr set up its network"},
		"ctr run --rootfs":               {plainSpec, func(c *containers.Container) { c.SnapshotKey = "" }, "not a snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			container := &containers.Container{ID: "a", Spec: &anypb.Any{Value: []byte(c.spec)}, Snapshotter: "overlayfs", SnapshotKey: "a"}
			if c.change != nil {
				c.change(container)
			}
			got := setupOf(container)
			if c.want == "" {
				require.Empty(t, got)
			}
			require.Contains(t, got, c.want)
		})
	}
}

func TestWhereTheOutputGoes(t *testing.T) {
	for want, c := range map[string]struct {
		last   *task.Process
		labels map[string]string
	}{
		"":                {nil, nil},
		"file:///a.log":   {&task.Process{Stdout: "file:///a.log"}, map[string]string{labelLogURI: "file:///b.log"}},
		"file:///b.log":   {&task.Process{Stdout: "/run/containerd/fifo/1/a-stdout"}, map[string]string{labelLogURI: "file:///b.log"}},
		"binary:///n?a=b": {nil, map[string]string{labelLogURI: "file:///b.log", labelNerdctlLogURI: "binary:///n?a=b"}},
	} {
		require.Equal(t, want, logOf(&containers.Container{Labels: c.labels}, c.last))
	}
	require.Empty(t, logOf(&containers.Container{Labels: map[string]string{labelLogURI: "fifo:///nobody-reads"}}, nil))
	require.True(t, attached(&task.Process{Stdout: "/run/containerd/fifo/1/a-stdout"}))
	require.False(t, attached(&task.Process{Stdout: "file:///a.log"}))
	require.False(t, attached(nil))
}
