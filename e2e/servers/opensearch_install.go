package servers

import (
	"archive/zip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// assemble downloads the plan's jars and lays them out in dir as the official distribution would.
func (p *plan) assemble(ctx context.Context, dir string, j java) error {
	work, err := os.MkdirTemp("", "bellbuoy-maven-")
	if err != nil {
		return fmt.Errorf("make Maven folder: %w", err)
	}
	defer os.RemoveAll(work)
	if err := p.download(ctx, work); err != nil {
		return err
	}
	if err := moveAll(jars(work, "lib"), filepath.Join(dir, "lib")); err != nil {
		return err
	}
	for _, m := range p.modules {
		if err := p.addModule(dir, work, m); err != nil {
			return fmt.Errorf("add module %s: %w", m.name, err)
		}
	}
	// Scripts are compiled against this library, which the module's own POM leaves out.
	if err := moveAll(jars(work, "spi"), filepath.Join(dir, "modules", painless)); err != nil {
		return err
	}
	if err := removeTwins(filepath.Join(dir, "modules", painless), filepath.Join(dir, "lib")); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "plugins"), 0o755); err != nil {
		return fmt.Errorf("make plugins folder: %w", err)
	}
	for _, name := range []string{"opensearch.yml", "log4j2.properties"} {
		if err := extract(name, filepath.Join(dir, "config")); err != nil {
			return err
		}
	}
	return compileLauncher(ctx, dir, work, j)
}

// download lets one Maven run fetch the jars of all folders.
func (p *plan) download(ctx context.Context, work string) error {
	for folder, pom := range p.poms {
		dir := filepath.Join(work, folder)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make Maven folder: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644); err != nil {
			return fmt.Errorf("write POM: %w", err)
		}
	}
	err := run(ctx, work, program("mvn"), "-q", "-B",
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies", "-DincludeScope=runtime")
	if err != nil {
		return fmt.Errorf("download with Maven: %w", err)
	}
	return nil
}

func (p *plan) addModule(dir, work string, m module) error {
	to := filepath.Join(dir, "modules", m.name)
	if err := moveAll(jars(work, m.name), to); err != nil {
		return err
	}
	if err := removeTwins(to, filepath.Join(dir, "lib")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "plugin-descriptor.properties"), m.descriptor(p.version), 0o644)
}

// jars is the pattern of what Maven copied for a folder.
func jars(work, folder string) string {
	return filepath.Join(work, folder, "target", "dependency", "*.jar")
}

func moveAll(pattern, to string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("nothing downloaded for %s", to)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		// Copied, because the cache may be on another file system than the temporary folder.
		content, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(f)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeTwins removes the jars from dir that lib has in any version: the server refuses to start when a
// class is in both.
func removeTwins(dir, lib string) error {
	version := regexp.MustCompile(`-[0-9][^/]*\.jar$`)
	names := func(dir string) (map[string]string, error) {
		files, err := filepath.Glob(filepath.Join(dir, "*.jar"))
		byName := make(map[string]string, len(files))
		for _, f := range files {
			byName[version.ReplaceAllString(filepath.Base(f), "")] = f
		}
		return byName, err
	}
	inLib, err := names(lib)
	if err != nil {
		return err
	}
	own, err := names(dir)
	if err != nil {
		return err
	}
	for name, file := range own {
		if _, twin := inLib[name]; !twin {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

func extract(name, to string) error {
	content, err := openSearchFiles.ReadFile("opensearch/" + name)
	if err != nil {
		return fmt.Errorf("read embedded file: %w", err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return os.WriteFile(filepath.Join(to, name), content, 0o644)
}

// compileLauncher makes launcher.jar: a jar, because Java's class archive refuses folders on the class path.
func compileLauncher(ctx context.Context, dir, work string, j java) error {
	if err := extract("Launcher.java", work); err != nil {
		return err
	}
	compilers, err := filepath.Glob(jars(work, "ecj"))
	if err != nil || len(compilers) != 1 {
		return fmt.Errorf("want one Java compiler, have %q: %w", compilers, err)
	}
	libs, err := filepath.Glob(filepath.Join(dir, "lib", "*.jar"))
	if err != nil {
		return err
	}
	classes := filepath.Join(work, "classes")
	err = run(ctx, work, j.program(), "-jar", compilers[0], "-17", "-nowarn",
		"-cp", strings.Join(libs, ":"), "-d", classes, "Launcher.java")
	if err != nil {
		return fmt.Errorf("compile launcher: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, "launcher.jar"))
	if err != nil {
		return fmt.Errorf("make launcher: %w", err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	if err := w.AddFS(os.DirFS(classes)); err != nil {
		return fmt.Errorf("pack launcher: %w", err)
	}
	return w.Close()
}
