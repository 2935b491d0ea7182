package servers

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
)

//go:embed opensearch
var openSearchFiles embed.FS

// artifact is one jar of Maven Central with all it depends on, or alone.
type artifact struct {
	Group, Artifact, Version string
	Alone                    bool
}

// module is a plugin that the official distribution ships in its modules folder.
type module struct {
	name, artifact, class string
	extends               string // the module whose classes it sees
}

// plan is everything an installation is made of, worked out without touching the disk.
type plan struct {
	version string
	modules []module
	poms    map[string][]byte // by folder; "" is the one that lists the others
}

func newPlan(version string) (*plan, error) {
	p := &plan{version: version, modules: openSearchModules(version)}
	folders := map[string][]artifact{
		"lib": libArtifacts(version),
		"spi": {plugin("opensearch-scripting-painless-spi", version)},
		"ecj": {{Group: "org.eclipse.jdt", Artifact: "ecj", Version: "3.42.0"}}, // compiles where there is no JDK
	}
	for _, m := range p.modules {
		folders[m.name] = []artifact{plugin(m.artifact, version)}
	}
	text, err := openSearchFiles.ReadFile("opensearch/pom.xml.tmpl")
	if err != nil {
		return nil, fmt.Errorf("read POM template: %w", err)
	}
	pom, err := template.New("pom").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("parse POM template: %w", err)
	}
	type content struct {
		Name      string
		Modules   []string
		Artifacts []artifact
	}
	contents := map[string]content{"": {Name: "all", Modules: slices.Sorted(maps.Keys(folders))}}
	for name, artifacts := range folders {
		contents[name] = content{Name: name, Artifacts: artifacts}
	}
	p.poms = make(map[string][]byte, len(contents))
	for folder, c := range contents {
		var b bytes.Buffer
		if err := pom.Execute(&b, c); err != nil {
			return nil, fmt.Errorf("write POM of %s: %w", c.Name, err)
		}
		p.poms[folder] = b.Bytes()
	}
	return p, nil
}

func plugin(name, version string) artifact {
	return artifact{Group: "org.opensearch.plugin", Artifact: name, Version: version}
}

// libArtifacts is the server's class path. Its own POM calls the last five optional; it needs them.
func libArtifacts(version string) []artifact {
	const log4j, log4jVersion = "org.apache.logging.log4j", "2.21.0"
	classloader := version
	if version == "2.19.4" {
		classloader = "2.19.1" // a single class; Central has no 2.19.4 of it
	}
	return []artifact{
		{Group: "org.opensearch", Artifact: "opensearch", Version: version},
		{Group: "org.opensearch", Artifact: "opensearch-plugin-classloader", Version: classloader},
		{Group: log4j, Artifact: "log4j-api", Version: log4jVersion},
		{Group: log4j, Artifact: "log4j-core", Version: log4jVersion},
		{Group: log4j, Artifact: "log4j-jul", Version: log4jVersion},
		{Group: "org.locationtech.spatial4j", Artifact: "spatial4j", Version: "0.7"},
		{Group: "org.locationtech.jts", Artifact: "jts-core", Version: "1.15.0", Alone: true},
	}
}

func openSearchModules(version string) []module {
	suffix := "ModulePlugin"
	if strings.HasPrefix(version, "2.") {
		suffix = "Plugin"
	}
	return []module{
		{name: "transport-netty4", artifact: "transport-netty4-client", class: "transport.Netty4" + suffix},
		{name: painless, artifact: painless, class: "painless.Painless" + suffix},
		{name: "lang-mustache", artifact: "lang-mustache-client", class: "script.mustache.Mustache" + suffix},
		{name: "analysis-common", artifact: "analysis-common", class: "analysis.common.CommonAnalysis" + suffix, extends: painless},
		{name: "mapper-extras", artifact: "mapper-extras-client", class: "index.mapper.MapperExtras" + suffix},
		{name: "reindex", artifact: "reindex-client", class: "index.reindex.Reindex" + suffix},
		{name: "ingest-common", artifact: "ingest-common", class: "ingest.common.IngestCommon" + suffix, extends: painless},
	}
}

const painless = "lang-painless"

func (m module) descriptor(version string) []byte {
	minimum := "21"
	if strings.HasPrefix(version, "2.") {
		minimum = "11"
	}
	lines := []string{
		"name=" + m.name, "description=" + m.name, "version=" + version, "opensearch.version=" + version,
		"java.version=" + minimum, "classname=org.opensearch." + m.class, "has.native.controller=false",
	}
	if m.extends != "" {
		lines = append(lines, "extended.plugins="+m.extends)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// fingerprint changes whenever a planned installation would.
func (p *plan) fingerprint() []byte {
	var b bytes.Buffer
	for _, folder := range slices.Sorted(maps.Keys(p.poms)) {
		b.Write(p.poms[folder])
	}
	for _, m := range p.modules {
		b.Write(m.descriptor(p.version))
	}
	for _, name := range []string{"Launcher.java", "log4j2.properties", "opensearch.yml"} {
		content, err := openSearchFiles.ReadFile("opensearch/" + name)
		fmt.Fprint(&b, string(content), err)
	}
	return b.Bytes()
}
