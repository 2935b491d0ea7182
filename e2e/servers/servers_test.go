package servers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMissingErrorSaysWhatToType(t *testing.T) {
	err := missing("docker", []Need{{What: "runc", Package: "runc"}, {What: "moon"}})
	want := "docker cannot run: no runc (type: apt-get install --no-install-recommends runc), no moon (type: " + SetupCommand + ")"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := missing("docker", nil); err != nil {
		t.Errorf("nothing is missing, yet %v", err)
	}
}

func TestCachedIsMadeOnceAndAgainAfterAFault(t *testing.T) {
	k := &Kit{cache: t.TempDir()}
	c := k.cached("thing", []byte("1"))
	made := 0
	fill := func(dir string) error { made++; return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600) }
	fault := errors.New("fault")
	if err := c.make(func(string) error { return fault }); !errors.Is(err, fault) || c.fresh() {
		t.Fatalf("got %v, fresh %t", err, c.fresh())
	}
	for range 2 {
		if err := c.make(fill); err != nil || made != 1 {
			t.Fatalf("got %v, made %d times", err, made)
		}
	}
	if k.cached("thing", []byte("2")).fresh() {
		t.Error("another content has the same stamp")
	}
}

func TestJavaMajor(t *testing.T) {
	home := t.TempDir()
	for version, want := range map[string]int{"25.0.3": 25, "17": 17, "1.8.0_392": 1, "": 0} {
		release := "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"" + version + "\"\n"
		if err := os.WriteFile(filepath.Join(home, "release"), []byte(release), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := javaMajor(home); got != want {
			t.Errorf("%q: got %d, want %d", version, got, want)
		}
	}
}

func TestPlansDiffer(t *testing.T) {
	plans := map[string]string{}
	for _, version := range []string{"2.19.4", "3.4.0"} {
		p, err := newPlan(version)
		if err != nil {
			t.Fatal(err)
		}
		plans[version] = string(p.fingerprint())
		if !strings.Contains(plans[version], "<version>"+version+"</version>") {
			t.Errorf("the plan of %s does not name it", version)
		}
	}
	if plans["2.19.4"] == plans["3.4.0"] {
		t.Error("two versions have one plan")
	}
}

func TestBuildsArePinned(t *testing.T) {
	k, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	stamps := map[string]string{}
	for _, b := range []build{runcBuild(), containerd24Build(), dockerBuild(), containerd17Build()} {
		c, version, err := k.buildCache(b)
		if err != nil || version == "" || stamps[c.stamp] != "" {
			t.Errorf("%s: version %q, stamp of %q, %v", b.name, version, stamps[c.stamp], err)
		}
		stamps[c.stamp] = b.name
		b.tags += ",other"
		if other, _, err := k.buildCache(b); err != nil || other.stamp == c.stamp {
			t.Errorf("%s: other tags have the same stamp: %v", b.name, err)
		}
	}
}

func TestRequiredModule(t *testing.T) {
	mod := []byte("module m\n\ntool example.com/a\n\nrequire example.com/b v1.2.3 // indirect\n\nrequire (\n\texample.com/a v0.1.0\n)\n")
	for module, want := range map[string]string{"example.com/a": "v0.1.0", "example.com/b": "v1.2.3", "example.com": ""} {
		if got := required(mod, module); got != want {
			t.Errorf("%s: got %q, want %q", module, got, want)
		}
	}
}
