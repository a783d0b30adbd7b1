// Command build makes the packages of ec2net, a deb and an rpm for each architecture, or those of them that are asked for:
//
//	go run ./packaging/build -out dist
//
// The same source gives the same packages, bit for bit, wherever and whenever they are built. Their
// date is the commit's, or SOURCE_DATE_EPOCH; their version is what git describes, or VERSION.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	out := flag.String("out", "dist", "`folder` for the packages")
	arch := flag.String("arch", "amd64,arm64", "`architectures`, as Go names them")
	kind := flag.String("kind", "deb,rpm", "`kinds` of packages")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, strings.Split(*arch, ","), strings.Split(*kind, ",")); err != nil {
		fmt.Fprintf(os.Stderr, "packaging/build: %v\n", err)
		os.Exit(1)
	}
}

// run makes the packages; the working directory is the repository's top.
func run(ctx context.Context, out string, arches, kinds []string) error {
	if _, err := os.Stat("packaging/nfpm.yaml"); err != nil {
		return fmt.Errorf("run it in the repository's top folder: %w", err)
	}
	src, err := describe(ctx, os.Getenv)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("folder for the packages: %w", err)
	}
	if out, err = filepath.Abs(out); err != nil {
		return fmt.Errorf("folder for the packages: %w", err)
	}
	dir, err := os.MkdirTemp("", "ec2net-packaging-")
	if err != nil {
		return fmt.Errorf("folder to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	s := stage{dir: dir, src: src}
	if err := s.common(ctx); err != nil {
		return err
	}
	nfpm, err := s.compileNFPM(ctx)
	if err != nil {
		return err
	}
	for _, a := range arches {
		if err := s.packages(ctx, nfpm, a, kinds, out); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	return nil
}
