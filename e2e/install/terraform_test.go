package install_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module is the blocks of the Terraform module by type, and by name within it. Terraform itself is not there: its
// own parser reads the module, and what that can't tell, whether AWS's provider takes it, is not proven.
func module(t *testing.T) map[string]map[string]*hclsyntax.Block {
	t.Helper()
	files, err := filepath.Glob(deployed("terraform", "*.tf"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]map[string]*hclsyntax.Block{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		file, said := hclparse.NewParser().ParseHCL(text, filepath.Base(name))
		require.False(t, said.HasErrors(), "%s", said)
		assert.Equal(t, string(hclwrite.Format(text)), string(text), "%s is formatted", name)
		for _, b := range file.Body.(*hclsyntax.Body).Blocks {
			if all[b.Type] == nil {
				all[b.Type] = map[string]*hclsyntax.Block{}
			}
			all[b.Type][strings.Join(b.Labels, ".")] = b
		}
	}
	return all
}

func TestModuleHandsOverTheTemplate(t *testing.T) {
	m, home := module(t), template(t, home)
	stack := m["resource"]["aws_cloudformation_stack.bellbuoy"]
	require.NotNil(t, stack)

	body := stack.Body.Attributes["template_body"].Expr.(*hclsyntax.FunctionCallExpr)
	assert.Equal(t, "file", body.Name)
	path := source(t, body.Args[0].Range())
	assert.Equal(t, `"${path.module}/../bellbuoy-ecs.cfn.yaml"`, path)
	_, err := os.Stat(deployed("terraform", "..", "bellbuoy-ecs.cfn.yaml"))
	require.NoError(t, err)
	assert.Less(t, len(text(t, "bellbuoy-ecs.cfn.yaml")), 51_200, "CloudFormation takes no larger body")

	handed := map[string]string{}
	for _, item := range stack.Body.Attributes["parameters"].Expr.(*hclsyntax.ObjectConsExpr).Items {
		handed[source(t, item.KeyExpr.Range())] = source(t, item.ValueExpr.Range())
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(home.Parameters)), slices.Collect(maps.Keys(handed)))
	used := map[string]bool{"stack_name": true, "tags": true}
	for name, p := range home.Parameters {
		variable := "var." + snake(name)
		used[snake(name)] = true
		assert.Contains(t, []string{variable, `join(",", ` + variable + `)`, "tostring(" + variable + ")"}, handed[name])
		assert.Equal(t, p["Type"] == "CommaDelimitedList", strings.HasPrefix(handed[name], "join"), name)
		require.NotNil(t, m["variable"][snake(name)], name)
	}
	for name := range m["variable"] {
		assert.True(t, used[name], "variable %s is used", name)
	}
	assert.Len(t, m["output"], len(home.Outputs))
	for name := range home.Outputs {
		out := m["output"][snake(name)]
		if assert.NotNil(t, out, name) {
			assert.Contains(t, source(t, out.Body.Attributes["value"].Expr.Range()), `"`+name+`"`)
		}
	}
}

// The defaults of the module are those of the template, so that a plain use of either is the same.
func TestModuleHasTheDefaultsOfTheTemplate(t *testing.T) {
	m := module(t)
	for name, p := range template(t, home).Parameters {
		value, said := m["variable"][snake(name)].Body.Attributes["default"].Expr.Value(nil)
		require.False(t, said.HasErrors(), "%s", said)
		var got []string
		switch kind := value.Type().FriendlyName(); kind {
		case "string":
			got = []string{value.AsString()}
		case "number":
			got = []string{value.AsBigFloat().String()}
		case "bool":
			got = []string{map[bool]string{true: "true", false: "false"}[value.True()]}
		default:
			for _, one := range value.AsValueSlice() {
				got = append(got, one.AsString())
			}
		}
		var want []string
		for part := range strings.SplitSeq(p["Default"].(string), ",") {
			want = append(want, strings.TrimSpace(part))
		}
		assert.Equal(t, strings.Join(want, ","), strings.Join(got, ","), name)
	}
}

// source is what stands at a place of the module.
func source(t *testing.T, r hcl.Range) string {
	t.Helper()
	text, err := os.ReadFile(deployed("terraform", r.Filename))
	require.NoError(t, err)
	return string(r.SliceBytes(text))
}

// snake is the name of a variable for a parameter.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
