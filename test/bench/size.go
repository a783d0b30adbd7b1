package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// size measures what is there before anything is done.
func (o options) size(ctx context.Context) (p Part, err error) {
	p = Part{Title: "the program", Floor: "ip -V, a small program in C"}
	info, err := os.Stat(o.bin)
	if err != nil {
		return p, fmt.Errorf("size of the program: %w", err)
	}
	var start, floor series
	for range 2 * o.runs {
		if err := timed(ctx, &start, o.bin, "--version"); err != nil {
			return p, err
		}
		if err := timed(ctx, &floor, "ip", "-V"); err != nil {
			return p, err
		}
	}
	p.Rows = []Row{
		row("size of the file", "MiB", series{float64(info.Size()) / (1 << 20)}).most(12),
		row("--version", "ms", start).beside(floor),
	}
	return p, nil
}

func timed(ctx context.Context, runs *series, name string, args ...string) error {
	begun := time.Now()
	if err := exec.CommandContext(ctx, name, args...).Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	runs.time(time.Since(begun))
	return nil
}
