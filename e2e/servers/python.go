package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// python prefers the system's: the environment made from it breaks when its Python goes away, and
// version managers come and go with the PATH.
func python() string {
	if isFile("/usr/bin/python3") {
		return "/usr/bin/python3"
	}
	return program("python3")
}

func (k *Kit) pythonNeeds() []Need {
	if k.motoCache().fresh() && k.cfnLintCache().fresh() {
		return nil
	}
	if python() != "" && exec.Command(python(), "-c", "import venv, ensurepip").Run() == nil {
		return nil
	}
	return []Need{{What: "Python with venv", Package: "python3-venv"}}
}

// pythonEnvironment makes a Python environment of its own with what is required.
func pythonEnvironment(ctx context.Context, dir string, required []byte) error {
	if err := run(ctx, "", python(), "-m", "venv", dir); err != nil {
		return fmt.Errorf("make Python environment: %w", err)
	}
	requirements := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(requirements, required, 0o644); err != nil {
		return fmt.Errorf("write requirements: %w", err)
	}
	pip := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements}
	if err := run(ctx, "", filepath.Join(dir, "bin", "python"), pip...); err != nil {
		return fmt.Errorf("install what is required: %w", err)
	}
	return nil
}
