package main

import (
	"os"

	"ec2net/metadata"
)

// detected is the cloud that this machine runs in; none is no error.
func (p *program) detected() metadata.Cloud {
	if p.cloud != "auto" {
		return metadata.Cloud(p.cloud)
	}
	return metadata.Detect(os.DirFS("/sys"))
}

// source is the cloud's metadata. Nothing is asked yet.
func (p *program) source() (metadata.Source, error) {
	s, err := metadata.NewEC2(metadata.EC2Options{})
	if err != nil {
		return nil, fail(exitUsage, "%w", err)
	}
	return s, nil
}
