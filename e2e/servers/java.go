package servers

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// java is a Java runtime.
type java struct {
	home  string
	major int
}

func (j java) program() string { return filepath.Join(j.home, "bin", "java") }

// newestJava looks at JAVA_HOME alone when it is set, else at all that is installed; its zero value
// means that there is none.
func newestJava() java {
	homes := []string{os.Getenv("JAVA_HOME")}
	if homes[0] == "" {
		homes, _ = filepath.Glob("/usr/lib/jvm/*") // the pattern is a good one
		if path := program("java"); path != "" {
			if path, err := filepath.EvalSymlinks(path); err == nil {
				homes = append(homes, filepath.Dir(filepath.Dir(path)))
			}
		}
	}
	var newest java
	for _, home := range homes {
		j := java{home: home, major: javaMajor(home)}
		if j.major > newest.major && isFile(j.program()) {
			newest = j
		}
	}
	return newest
}

// javaMajor reads the release file that every Java since 9 has, which is quicker than asking the program.
func javaMajor(home string) int {
	release, err := os.ReadFile(filepath.Join(home, "release"))
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(release))
	for lines.Scan() {
		if version, ok := strings.CutPrefix(lines.Text(), `JAVA_VERSION="`); ok {
			digits, _, _ := strings.Cut(strings.TrimSuffix(version, `"`), ".")
			major, _ := strconv.Atoi(digits) // "1" of Java 8 and no number at all are both too old
			return major
		}
	}
	return 0
}
