package servers

import (
	"context"
	_ "embed"
	"path/filepath"
)

const cfnLintVersion = "1.51.0"

//go:embed cfnlint/requirements.txt
var cfnLintRequirements []byte

// CFNLint is the path of the checker of CloudFormation templates in the cache.
func (k *Kit) CFNLint() (string, error) {
	c := k.cfnLintCache()
	if !c.fresh() {
		return "", notPrepared("cfn-lint", c)
	}
	return filepath.Join(c.dir, "bin", "cfn-lint"), nil
}

func (k *Kit) cfnLintCache() cached {
	return k.cached("cfn-lint-"+cfnLintVersion, cfnLintRequirements, []byte(python()))
}

func (k *Kit) prepareCFNLint(ctx context.Context) (string, error) {
	c := k.cfnLintCache()
	err := c.make(func(dir string) error { return pythonEnvironment(ctx, dir, cfnLintRequirements) })
	return cfnLintVersion + " in " + c.dir, err
}
