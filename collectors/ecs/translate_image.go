package ecs

import (
	"errors"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// imageDetail is the detail of what a registry tells of an image. See
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html.
type imageDetail struct {
	Repository string            `json:"repository-name"`
	Digest     string            `json:"image-digest"`
	Tag        string            `json:"image-tag"`
	Tags       []string          `json:"image-tags"`
	Action     string            `json:"action-type"`
	Result     string            `json:"result"`
	Scan       string            `json:"scan-status"`
	Findings   map[string]number `json:"finding-severity-counts"`
}

func (r *record) image() (*imageDetail, error) {
	d := &imageDetail{}
	if err := jsonv2.Unmarshal(r.Detail, d, reading()); err != nil {
		return nil, whyNot(r.Detail, err)
	}
	if d.Repository == "" {
		return nil, errors.New("repository-name is missing")
	}
	if d.Tag == "" {
		d.Tag = firstOf(d.Tags)
	}
	return d, nil
}

func (r *record) ofImage(o origin, t event.Type, d *imageDetail, i event.Image) event.Event {
	i.Repository, i.Tag, i.Digest = d.Repository, d.Tag, d.Digest
	e := r.event(o, t, place{"", r.Source, d.Repository, d.Digest})
	e.ID = r.identity(r.Account, r.Region, d.Repository, d.Digest, d.Tag, i.Action, i.Result, stamp(r.Time))
	e.Data.Image, e.Data.Native.Record, e.Severity = &i, safeRecord(r), event.Info
	name := d.Repository
	if d.Tag != "" {
		name += ":" + d.Tag
	}
	e.Data.Message = strings.TrimSpace("image " + name + ": " + i.Action + " " + i.Result)
	return e
}

// translateImageAction makes the fact of an image that was pushed. Other actions have no type and pass.
func translateImageAction(r *record, o origin) (fact, error) {
	d, err := r.image()
	if err != nil {
		return fact{}, err
	}
	t := event.ImagePushed
	if d.Action != "PUSH" {
		t = event.NativePassed
	}
	return fact{event: r.ofImage(o, t, d, event.Image{Action: d.Action, Result: d.Result})}, nil
}

// translateImageScan makes the fact of the end of an image's scan.
func translateImageScan(r *record, o origin) (fact, error) {
	d, err := r.image()
	if err != nil {
		return fact{}, err
	}
	i := event.Image{Action: "SCAN", Result: d.Scan, Critical: int64(d.Findings["CRITICAL"]), High: int64(d.Findings["HIGH"])}
	e := r.ofImage(o, event.ImageScanned, d, i)
	if i.Critical > 0 {
		e.Severity = event.Warn
	}
	return fact{event: e}, nil
}
