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
