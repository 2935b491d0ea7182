package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
)

// writeImage writes the image of importImage, under its full name, as an archive that ctr imports.
func writeImage(ctx context.Context, busybox, name, path string) error {
	root, err := imageRoot(ctx, busybox)
	if err != nil {
		return err
	}
	layer, err := io.ReadAll(root)
	if err != nil {
		return fmt.Errorf("read test image: %w", err)
	}
	content, err := imageLayout(name, layer)
	if err != nil {
		return fmt.Errorf("describe test image: %w", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write test image: %w", err)
	}
	return nil
}

// object is JSON as the OCI image layout has it.
type object map[string]any

// layout collects the blobs of an OCI image layout.
type layout struct {
	archive bytes.Buffer
	tar     *tar.Writer
}

// imageLayout is an OCI image layout of one image with one layer.
func imageLayout(name string, layer []byte) ([]byte, error) {
	l := &layout{}
	l.tar = tar.NewWriter(&l.archive)
	const kind = "application/vnd.oci.image."
	rootFS, err := l.blob(kind+"layer.v1.tar", layer)
	if err != nil {
		return nil, err
	}
	config, err := l.json(kind+"config.v1+json", object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Cmd": []string{"/bin/sh"}, "Env": []string{"PATH=/bin"}},
		"rootfs": object{"type": "layers", "diff_ids": []any{rootFS["digest"]}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := l.json(kind+"manifest.v1+json", object{"schemaVersion": 2, "config": config, "layers": []object{rootFS}})
	if err != nil {
		return nil, err
	}
	manifest["annotations"] = object{"io.containerd.image.name": name}
	index, err := json.Marshal(object{"schemaVersion": 2, "manifests": []object{manifest}})
	if err != nil {
		return nil, err
	}
	if err := l.file("index.json", index); err != nil {
		return nil, err
	}
	if err := l.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return nil, err
	}
	if err := l.tar.Close(); err != nil {
		return nil, err
	}
	return l.archive.Bytes(), nil
}

func (l *layout) json(mediaType string, o object) (descriptor object, err error) {
	content, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return l.blob(mediaType, content)
}

func (l *layout) blob(mediaType string, content []byte) (descriptor object, err error) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	return object{"mediaType": mediaType, "digest": "sha256:" + digest, "size": len(content)},
		l.file("blobs/sha256/"+digest, content)
}

func (l *layout) file(name string, content []byte) error {
	if err := l.tar.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := l.tar.Write(content)
	return err
}
